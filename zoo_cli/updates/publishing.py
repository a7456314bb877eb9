"""A compiled index as it is published: checked, and packed so that the same database gives the same bytes.

Edge: reads the database, writes a temporary file.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.catalog.database import index_date, open_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def packed_index(database: Path) -> Iterator[Path]:
    """The database as a gzip file in a temporary directory, without time or name in it.

    Raises:
        CatalogUnusable: It is no database of facts that this zoo reads.
    """
    with closing(open_catalog(database)) as catalog:
        index_date(catalog)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "index.gz"
        with (
            database.open("rb") as source,
            path.open("wb") as target,
            gzip.GzipFile("", "wb", 9, target, mtime=0) as packer,
        ):
            shutil.copyfileobj(source, packer, 1 << 20)
        yield path
