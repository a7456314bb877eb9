"""zoo's TUF client behind the command line that the tuf-conformance suite calls a client by (its CLIENT-CLI.md).

    python -m tests.support.tuf_client --metadata-dir DIR init ROOT.json
    python -m tests.support.tuf_client --metadata-dir DIR --metadata-url URL refresh
    python -m tests.support.tuf_client --metadata-dir DIR --metadata-url URL --target-name NAME --target-base-url URL
        --target-dir DIR download

Exit code 0: all was verified, 1: anything was not. Metadata goes through `zoo_cli.trust.tufclient`, files through the
transfer engine, as in `zoo_cli.updates.updating`; what stands here is the command line and where a file's address is
(zoo's own files have no folders in their names).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from zoo_cli.errors import ZooError
from zoo_cli.transfer.fetch import fetch
from zoo_cli.transfer.settings import Settings
from zoo_cli.transfer.sources import Wanted
from zoo_cli.trust.refusals import IndexRefused
from zoo_cli.trust.tufclient import SignedFile, signed_file

SETTINGS = Settings(retries=0, sync=False)
FIRST = "trusted-root"  # not called like metadata: the suite lists what is


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata-dir", type=Path, required=True)
    for option in ("--metadata-url", "--target-name", "--target-base-url"):
        parser.add_argument(option)
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    given = parser.parse_args(words)
    try:
        return {"init": _init, "refresh": _refresh, "download": _download}[given.command](given)
    except ZooError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _init(given: argparse.Namespace) -> int:
    given.metadata_dir.mkdir(parents=True, exist_ok=True)
    (given.metadata_dir / FIRST).write_bytes(given.root.read_bytes())
    return 0


def _refresh(given: argparse.Namespace) -> int:
    try:
        _signed(given, "there-is-no-such-file")
    except IndexRefused as error:
        if error.fault != "missing":
            raise
    return 0  # all metadata is verified; it only has no such file


def _download(given: argparse.Namespace) -> int:
    signed = _signed(given, given.target_name)
    folder, slash, name = given.target_name.rpartition("/")
    url = f"{given.target_base_url.rstrip('/')}/{quote(folder)}{slash}{signed.sha256}.{quote(name)}"
    place = given.target_dir / quote(given.target_name, safe="")
    wanted = Wanted(given.target_name, (url,), signed.size_bytes, signed.sha256, basis="signed")
    fetch(wanted, place, SETTINGS, replace=True)
    return 0


def _signed(given: argparse.Namespace, name: str) -> SignedFile:
    address = given.metadata_url.rstrip("/").removesuffix("/metadata")
    root = (given.metadata_dir / FIRST).read_bytes()
    return signed_file(given.metadata_dir, "suite", root, address, name, SETTINGS)


if __name__ == "__main__":
    sys.exit(main())
