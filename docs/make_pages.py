"""Writes what the pages of docs/ show of the index: the answers in questions.md, and the whole of baselines.md.

    python docs/make_pages.py

The pages are checked by tests/test_docs_pages.py and tests/catalog/test_questions.py; this is run when they differ.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.test_docs import on_terminal

DOCS = Path(__file__).parent
BLOCK = re.compile(r"(<!-- tested -->\n```console\n\$ )(zoo [^\n]*)\n.*?```", re.DOTALL)


def with_answers(text: str) -> str:
    """The page with every block as the program prints it now."""
    return BLOCK.sub(lambda found: f"{found[1]}{found[2]}\n{on_terminal(found[2])}```", text)


def main() -> None:
    """Writes the pages."""
    questions = DOCS / "questions.md"
    questions.write_text(with_answers(questions.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
