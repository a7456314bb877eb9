"""The documents of models in an index directory: `models/<project>/<version>.json`.

Edge: reads and writes them. A document is replaced whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_cli.atomic import write_whole
from zoo_cli.errors import ZooError
from zoo_cli.models.figures import BadExpectation, read_expectation
from zoo_cli.models.safe_yaml import UnreadableYaml, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_cli.models.build import Built
    from zoo_cli.models.figures import Expectation


@dataclass(eq=False)
class CannotKeepIndex(ZooError):
    """The index directory cannot be read or written."""

    code = "cannot-keep-index"

    path: str
    problem: str


def current(index: Path, project: str, version: str) -> str | None:
    """The document of a release that stands in the index; None when there is none.

    Raises:
        CannotKeepIndex: It is there and cannot be read.
    """
    path = index / "models" / project / f"{version}.json"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise CannotKeepIndex(str(path), str(exc)) from exc


def read_expected(path: Path, *, must_exist: bool = True) -> Expectation | None:
    """Figures to compare releases with; None when there is no such file and there need not be.

    Raises:
        BadExpectation: It cannot be read, or has another form.
    """
    try:
        return read_expectation(read_yaml(path.read_bytes()).value, str(path))
    except FileNotFoundError as exc:
        if must_exist:
            raise BadExpectation(str(path), "there is no such file") from exc
        return None
    except (OSError, UnreadableYaml) as exc:
        raise BadExpectation(str(path), str(exc)) from exc


def write(index: Path, built: Built) -> Path:
    """Puts the document of a release into the index and returns where it is.

    Raises:
        CannotKeepIndex: The directory cannot be written.
    """
    path = index / built.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, built.text.encode())
    except OSError as exc:
        raise CannotKeepIndex(str(path), str(exc)) from exc
    return path
