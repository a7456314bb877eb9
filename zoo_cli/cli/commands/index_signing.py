"""`zoo index key|rotate|sign|publish`: what holders of keys do (docs/signing.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console

if TYPE_CHECKING:
    from datetime import datetime

    from securesystemslib.signer import CryptoSigner

    from zoo_cli.cli.console import Console

_FILE = click.Path(path_type=Path, dir_okay=False)
_passphrase_option = click.option(
    "--passphrase-file",
    type=_FILE,
    help="Its first line is the passphrase [else ZOO_SIGNING_PASSPHRASE, else asked].",
)
_key_option = click.option(
    "--key", "keys", type=_FILE, multiple=True, metavar="FILE", help="A private key; repeatable."
)
_REPOSITORY = click.Path(path_type=Path, file_okay=False)


@click.command("key", epilog="Example: zoo index key root-a.pem")
@click.argument("file", type=_FILE)
@_passphrase_option
@common_options
@pass_console
def key_command(console: Console, file: Path, passphrase_file: Path | None) -> None:
    """Make a signing key: encrypted in FILE, its public half in FILE.pub."""
    from zoo_cli.trust.signing import new_key

    _require_cryptography()
    keyid = new_key(file, _passphrase(console, file, passphrase_file, is_new=True))
    if console.json:
        console.document({"ok": True, "command": "index key", "key": keyid, "file": str(file)})
        return
    console.data(keyid)


@click.command("rotate", epilog="Example: zoo index rotate repository --root a.pub --root b.pub --threshold root=2")
@click.argument("repository", type=_REPOSITORY)
@click.option(
    "--root", type=_FILE, multiple=True, metavar="PUB", help="A key of the role root from now on; repeatable."
)
@click.option("--targets", type=_FILE, multiple=True, metavar="PUB", help="The same for the role targets.")
@click.option("--snapshot", type=_FILE, multiple=True, metavar="PUB", help="The same for the role snapshot.")
@click.option("--timestamp", type=_FILE, multiple=True, metavar="PUB", help="The same for the role timestamp.")
@click.option("--threshold", "thresholds", multiple=True, metavar="ROLE=N", help="How many of them must sign [1].")
@common_options
@pass_console
def rotate_command(
    console: Console, /, repository: Path, thresholds: tuple[str, ...], **given: tuple[Path, ...]
) -> None:
    """Write the next root, with other keys or a later end, for its holders to sign.

    The first root needs keys of every role; a later one changes the roles that are named. The file it prints is signed
    with `zoo index sign`, then `zoo index publish` takes it.
    """
    from zoo_cli.trust.signing import read_public, stage_root

    _require_cryptography()
    keys = {role: [read_public(path) for path in paths] for role, paths in given.items() if paths}
    path = stage_root(repository, keys, dict(map(_threshold, thresholds)), _now())
    if console.json:
        console.document({"ok": True, "command": "index rotate", "file": str(path)})
        return
    console.data(str(path))


@click.command("sign", epilog="Example: zoo index sign repository/staged/1.root.json --key root-a.pem")
@click.argument("file", type=_FILE)
@_key_option
@_passphrase_option
@common_options
@pass_console
def sign_command(console: Console, file: Path, keys: tuple[Path, ...], passphrase_file: Path | None) -> None:
    """Add signatures to metadata that waits for them."""
    from zoo_cli.trust.signing import sign_file

    _require_cryptography()
    if not keys:
        raise click.UsageError("Missing option '--key FILE'.")
    signed_by = sign_file(file, _signers(console, keys, passphrase_file))
    if console.json:
        console.document({"ok": True, "command": "index sign", "file": str(file), "signed_by": list(signed_by)})
        return
    console.say(f"{file} has {len(signed_by)} signatures.")


@click.command("publish", epilog="Example: zoo index publish repository --database zoo.db --key targets.pem")
@click.argument("repository", type=_REPOSITORY)
@click.option("--database", type=_FILE, help="A compiled zoo.db to publish: the index of zoo's own facts.")
@click.option(
    "--models", type=_REPOSITORY, metavar="DIR", help="An index directory with a lab's own models to publish instead."
)
@click.option("--namespace", metavar="LAB", help="With --models: the lab's name, under which users trust its root.")
@_key_option
@_passphrase_option
@common_options
@pass_console
def publish_command(
    console: Console,
    repository: Path,
    database: Path | None,
    models: Path | None,
    namespace: str | None,
    keys: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    """Take what is fully signed into the repository, and renew snapshot and timestamp.

    Without --database and --models, and with nothing staged, it renews the timestamp: the regular work of the online
    key.
    """
    from zoo_cli.trust.roots import NAME, UPSTREAM
    from zoo_cli.trust.signing import publish, stage_index
    from zoo_cli.updates.publishing import packed_documents, packed_index
    from zoo_cli.updates.updating import LAB_TARGET, TARGET

    _require_cryptography()
    if (models is None) != (namespace is None) or (models and database):
        raise click.UsageError("Say --database FILE, or --models DIR and --namespace LAB.")
    if namespace is not None and (not NAME.fullmatch(namespace) or namespace == UPSTREAM):
        raise click.UsageError("--namespace takes a word of a-z, 0-9 and -, and not zoo.")
    signers = _signers(console, keys, passphrase_file)
    if database is not None:
        with packed_index(database) as packed:
            stage_index(repository, packed, TARGET, signers, _now())
    if models is not None and namespace is not None:
        with packed_documents(models, namespace) as packed:
            stage_index(repository, packed, LAB_TARGET, signers, _now())
    done = publish(repository, signers, _now())
    if console.json:
        console.document({
            "ok": True, "command": "index publish", "versions": done.versions, "expires": done.expires,
        })  # fmt: skip
        return
    versions = ", ".join(f"{role} {version}" for role, version in sorted(done.versions.items()))
    console.say(f"Published: {versions}. The timestamp expires on {done.expires[:10]}.")


def _threshold(text: str) -> tuple[str, int]:
    role, _, count = text.partition("=")
    if role not in ("root", "targets", "snapshot", "timestamp") or not count.isdecimal() or not 0 < int(count) < 100:
        raise click.UsageError("--threshold takes ROLE=N, such as root=2.")
    return role, int(count)


def _now() -> datetime:
    from datetime import datetime, timezone

    return datetime.now(timezone.utc)


def _require_cryptography() -> None:
    from importlib.util import find_spec

    if find_spec("cryptography") is None:
        raise click.UsageError("Signing needs the package cryptography: pip install 'zoo-cli[sign]'")


def _signers(console: Console, keys: tuple[Path, ...], passphrase_file: Path | None) -> list[CryptoSigner]:
    from zoo_cli.trust.signing import read_signer

    return [read_signer(path, _passphrase(console, path, passphrase_file)) for path in keys]


def _passphrase(console: Console, key: Path, file: Path | None, *, is_new: bool = False) -> bytes:
    """The passphrase of a key: from a file, the environment or the terminal, never from the command line."""
    from zoo_cli.trust.refusals import BadKey

    if file is not None:
        try:
            return file.read_bytes().partition(b"\n")[0].rstrip(b"\r")
        except OSError as exc:
            raise BadKey(str(file), exc.strerror or str(exc)) from exc
    given = console.environ.get("ZOO_SIGNING_PASSPHRASE")
    if given:
        return given.encode()
    if not console.can_ask:
        raise BadKey(str(key), "its passphrase is neither in a file nor in the environment, and nobody can be asked")
    return str(click.prompt(f"Passphrase of {key}", hide_input=True, confirmation_prompt=is_new, err=True)).encode()
