"""Writes what the pages of docs/ show of the index: the answers in questions.md, and the whole of baselines.md.

    python docs/make_pages.py

Both are compared by tests/test_docs_pages.py, which says when this has to be run again.
"""

from __future__ import annotations

import re
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.test_docs import on_terminal
from zoo_cli.catalog.database import open_catalog

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

DOCS = Path(__file__).parent
COUNTED = DOCS.parent / "index" / "extras" / "baselines.yaml"
BLOCK = re.compile(r"(<!-- tested -->\n```console\n\$ )(zoo [^\n]*)\n.*?```", re.DOTALL)
RELEASES = ("2.25.0", "2.28.2", "3.3.0")

HEAD = """# The baselines of MMDetection's model zoo

MMDetection's model-zoo page names 57 baselines and 4 further datasets. This page is made from zoo's index by
`docs/make_pages.py`: for each of them, how many models with a checkpoint zoo has in a release of mmdet, by the folder
of their metafile: 2.25.0 is of the page's time, 2.28.2 is the last 2.x, 3.3.0 the last 3.x. A number in brackets is
what an independent count of the same wheels ([baselines.yaml](../index/extras/baselines.yaml), {date}) gives
where it is another.

The one of Faster R-CNN in 2.25.0 is `faster_rcnn_r50_fpn_tnr-pretrain_1x_coco`: upstream wrote its `Weights` among its
metrics, the independent count went by the right place only, and zoo's builder puts it where it belongs
(`zoo index problems mmdet --release 2.25.0 --kind misplaced`).

"README only" counts checkpoints that upstream links in a README and in no metafile, in mmdet 2.25.0 and 3.3.0, by the
same independent count. All models of a folder: `zoo list mmdet --filter 'config~configs/atss/*'`.
"""


def with_answers(text: str) -> str:
    """The page with every block as the program prints it now."""
    return BLOCK.sub(lambda found: f"{found[1]}{found[2]}\n{on_terminal(found[2])}```", text)


def baselines_page(connection: sqlite3.Connection) -> str:
    """The page of baselines, from the database."""
    known = yaml.safe_load(COUNTED.read_text(encoding="utf-8"))
    lines = [HEAD.format(date=known["origins"]["counted"]["date"])]
    counts: list[tuple[int, int]] = []
    for title, section in (("Baselines", "baselines"), ("Further datasets", "datasets")):
        lines += [f"## {title}", "", "| name | " + " | ".join(RELEASES) + " | README only |"]
        lines += ["|---" * (len(RELEASES) + 2) + "|"]
        for each in known[section]:
            folders = {release: each["folders_2x" if release < "3" else "folders_3x"] for release in RELEASES}
            pairs = [
                (count(connection, folders[release], release), int(each["in_metafiles"][release]))
                for release in RELEASES
            ]
            counts += pairs
            lines.append(
                f"| {each['name']} | {' | '.join(map(_cell, pairs))} | {_readme(each.get('readme_only', {}))} |"
            )
        lines.append("")
    equal = sum(ours == theirs for ours, theirs in counts)
    lines.append(f"{equal} of {len(counts)} counts are those of the independent one.")
    return "\n".join(lines) + "\n"


def count(connection: sqlite3.Connection, folders: list[str], release: str) -> int:
    """How many models with a checkpoint the metafiles of these folders have."""
    query = (
        "SELECT count(*) FROM entry e JOIN model m ON m.id = e.model JOIN package p ON p.id = e.package "
        "WHERE p.project = 'mmdet' AND p.version = ? AND m.files > 0 AND m.metafile GLOB ?"
    )
    found = (connection.execute(query, (release, f"configs/{each}/metafile.y*")).fetchone() for each in folders)
    return sum(number for (number,) in found)


def _cell(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} ({pair[1]})"


def _readme(counts: Mapping[str, Any]) -> str:
    return " / ".join(str(counts.get(release, 0)) for release in ("2.25.0", "3.3.0")) if counts else ""


def main() -> None:
    """Writes the pages."""
    questions = DOCS / "questions.md"
    questions.write_text(with_answers(questions.read_text(encoding="utf-8")), encoding="utf-8")
    with closing(open_catalog()) as connection:
        (DOCS / "baselines.md").write_text(baselines_page(connection), encoding="utf-8")


if __name__ == "__main__":
    main()
