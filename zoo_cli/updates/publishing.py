"""An index as it is published: checked, and packed so that the same facts give the same bytes.

Edge: reads a database or documents, writes a temporary file.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from zoo_cli.catalog.compiler.labs import lab_text, read_lab, tables_of
from zoo_cli.catalog.compiler.releases import read_project
from zoo_cli.catalog.compiler.rows import BrokenRow
from zoo_cli.catalog.database import index_date, open_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def packed_index(database: Path) -> Iterator[Path]:
    """A compiled database as a gzip file in a temporary directory, without time or name in it.

    Raises:
        CatalogUnusable: It is no database of facts that this zoo reads.
    """
    with closing(open_catalog(database)) as catalog:
        index_date(catalog)
    with database.open("rb") as source, _packed(source) as path:
        yield path


@contextmanager
def packed_documents(index: Path, namespace: str) -> Iterator[Path]:
    """A lab's documents of models, each package under the namespace, as such a file.

    Args:
        index: A directory with `models/<project>/<version>.json`.
        namespace: The lab's; the name under which users trust its root.

    Raises:
        BrokenRow: There is no document, or one does not follow the schema.
    """
    folders = sorted(each for each in (index / "models").glob("*") if each.is_dir())
    body = lab_text(namespace, (whole for folder in folders for whole in read_project(folder).values()))
    lab = read_lab(body, namespace)
    tables_of(lab).close()  # what clients would refuse is not published
    if not lab.documents:
        raise BrokenRow("models", 0, "", f"there is no document of models in {index}")
    with _packed(io.BytesIO(body)) as path:
        yield path


@contextmanager
def _packed(source: BinaryIO) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "index.gz"
        with path.open("wb") as target, gzip.GzipFile("", "wb", 9, target, mtime=0) as packer:
            shutil.copyfileobj(source, packer, 1 << 20)
        yield path
