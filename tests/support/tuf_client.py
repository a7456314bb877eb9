"""zoo's TUF client behind the command line that the tuf-conformance suite calls a client by (its CLIENT-CLI.md).

    python -m tests.support.tuf_client --metadata-dir DIR init ROOT.json
    python -m tests.support.tuf_client --metadata-dir DIR --metadata-url URL refresh

Exit code 0: all was verified, 1: anything was not. `download` is left out: zoo has one target, whose name and address
are its own, and fetches it by its engine (`zoo_cli.updates.updating`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zoo_cli.errors import ZooError
from zoo_cli.transfer.settings import Settings
from zoo_cli.trust.refusals import IndexRefused
from zoo_cli.trust.tufclient import signed_file
from zoo_cli.updates.updating import TARGET


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("root", type=Path)
    commands.add_parser("refresh")
    given = parser.parse_args()
    first: Path = given.metadata_dir / "first.root.json"
    if given.command == "init":
        given.metadata_dir.mkdir(parents=True, exist_ok=True)
        first.write_bytes(given.root.read_bytes())
        return 0
    address = given.metadata_url.rstrip("/").removesuffix("/metadata")
    try:
        signed_file(given.metadata_dir, "zoo", first.read_bytes(), address, TARGET, Settings(retries=0))
    except IndexRefused as error:
        return 0 if error.fault == "missing" else 1  # the metadata is verified; it only has no index of zoo
    except ZooError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
