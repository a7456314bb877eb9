"""mirrors.yaml and --mirror: where bytes may come from.

Edge: reads files and the environment. Asked in this order: `--mirror FROM=TO`; the project's file, if its user accepted
it (`projectrules`); the user's file (ZOO_MIRRORS, else mirrors.yaml in zoo's config directory) and what it chose of the
known mirrors with `use`; the file that comes with zoo. What a file may say is in `mirrorsfile`; `mirrorsedit` changes
the user's file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.transfer.addresses import redacted
from zoo_cli.transfer.failures import BadAddress
from zoo_cli.transfer.keptrules import compile_rules, compiled_rules, keep_rules, kept_rules
from zoo_cli.transfer.sources import Known, Mirrors, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zoo_cli.transfer.mirrorsfile import BadMirrors
    from zoo_cli.transfer.projectrules import Project

MAX_FILE_BYTES = 256 * 1024
COMPILED_FILE = Path(__file__).parent.parent / "mirrors.tsv"  # of mirrors.yaml as it comes with zoo
ROOT_MARKS = (".git", "pyproject.toml")  # of the root of a project


class UnknownMirror(ZooError):
    """A name of a mirror that no file knows."""

    code = "unknown-mirror"
    exit_code = ExitCode.USAGE

    name: str
    known: tuple[str, ...]
    file: str = ""  # that names it


class NoProject(ZooError):
    """There is no mirrors file of a project around the working directory, or ZOO_MIRRORS names another that counts."""

    code = "no-project-mirrors"
    exit_code = ExitCode.USAGE

    directory: str
    named: str  # what ZOO_MIRRORS says


class BadMirrorOption(ZooError):
    """A --mirror FROM=TO cannot be read."""

    code = "bad-mirror-option"
    exit_code = ExitCode.USAGE

    text: str
    why: str


def load_mirrors(options: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Mirrors:
    """All mirror rules of this run, in the order they are asked.

    Args:
        options: The values of `--mirror`, each FROM=TO.
        environ: The environment; the process's own when None.

    Raises:
        BadMirrors: A file is wrong or ZOO_MIRRORS cannot be read.
        BadMirrorOption: An option is wrong.
        UnknownMirror: A file uses what no file knows.
    """
    environ = os.environ if environ is None else environ
    project, where, unaccepted = _project_rules(environ)
    user, bundled = read_user_file(environ), read_bundled_file()
    known, hosts = (*user.known, *bundled.known), (*user.hosts, *bundled.hosts)
    named = ((project, where), (user, str(user_file(environ) or "")))
    chosen = [rule for file, path in named for rule in _chosen(file, path, known)]
    rules = (*(parse_option(text) for text in options), *project.rules, *user.rules, *chosen, *bundled.rules)
    used = (*project.used, *user.used)
    rates = _rates(rules, environ)
    return Mirrors(rules, hosts, known, used, user.headers, user.use_order, rates, unaccepted, user.pages)


def _chosen(file: Mirrors, path: str, known: Sequence[Known]) -> list[Rule]:
    return [each.rule._replace(order=file.use_order) for name in file.used for each in _named(known, name, path)]


def _rates(rules: Sequence[Rule], environ: Mapping[str, str]) -> tuple[tuple[str, float], ...]:
    """What was measured of hosts, where it is asked for."""
    if not any(rule.order == "fastest" for rule in rules):
        return ()
    from zoo_cli.transfer.health import users_health

    return users_health(environ).rates()


def _project_rules(environ: Mapping[str, str]) -> tuple[Mirrors, str, str]:
    """What the project's file says and its path if it counts; its path at the end if it does not.

    Raises:
        BadMirrors: See `read_project`.
    """
    project = project_file(environ)
    if project is None:
        return Mirrors(), "", ""
    from zoo_cli.transfer.projectrules import is_accepted

    if not is_accepted(project, environ):
        return Mirrors(), "", "" if _is_zoos_own(project.data) else str(project.path)
    return read_project(project), str(project.path), ""


def project_file(environ: Mapping[str, str]) -> Project | None:
    """The mirrors file of the project that the working directory is in; None when ZOO_MIRRORS names what counts."""
    path = None if environ.get("ZOO_MIRRORS") else _nearest(environ)
    if path is None:
        return None
    from zoo_cli.transfer.projectrules import find_project

    anyway = (bundled_file(), config_directory(environ) / "mirrors.yaml")
    return find_project(path, anyway, MAX_FILE_BYTES)


def _nearest(environ: Mapping[str, str]) -> Path | None:
    """The nearest mirrors.yaml from the working directory upward, no higher than the root of the project.

    Never above the home directory and never on another file system. Where no root is found there is no project, and
    only the working directory is looked at.
    """
    try:
        directory = Path.cwd()
        device, found = directory.stat().st_dev, list[Path]()
        home = Path(environ.get("HOME") or "~").expanduser()
        for place in (directory, *directory.parents):
            if place.stat().st_dev != device:
                break
            path = place / "mirrors.yaml"
            found += [path] if path.is_file() else []
            if any((place / mark).exists() for mark in ROOT_MARKS):
                return found[0] if found else None
            if home.exists() and place.samefile(home):
                break
        return found[0] if found and found[0].parent == directory else None
    except OSError:  # the working directory was removed, or may not be looked into
        return None


def _is_zoos_own(data: bytes) -> bool:
    """Whether it is the file that comes with zoo, of this release or another: nobody wrote it for a project."""
    bundled = _bytes_of(bundled_file())
    first_line = bundled.partition(b"\n")[0] + b"\n"
    return data == bundled or (data.startswith(first_line) and b"\nhosts:" in data)


def read_project(project: Project) -> Mirrors:
    """The rules of a project's file.

    Raises:
        BadMirrors: Anything in it is not known, or it says more than where its project's files may come from: which
            address gets a key, and what a name means, stands in the user's own file.
    """
    found = _parsed(project.path, project.data)
    for key, value in (
        ("headers", found.headers),
        ("known", found.known),
        ("hosts", found.hosts),
        ("find-links", found.pages),
    ):
        if value:
            raise _bad_file(project.path, "a project's file has none; put them into your own", key)
    return found


def _named(known: Sequence[Known], name: str, file: str) -> list[Known]:
    """The rules of a known mirror that a file uses.

    Raises:
        UnknownMirror: There is none of that name.
    """
    found = [each for each in known if each.name == name]
    if not found:
        raise UnknownMirror(name, tuple(dict.fromkeys(each.name for each in known)), file)
    return found


def read_user_file(environ: Mapping[str, str]) -> Mirrors:
    """What stands in the user's file; nothing when there is none."""
    path = user_file(environ)
    return read_mirrors(path) if path is not None else Mirrors()


def bundled_file() -> Path:
    """mirrors.yaml as it comes with zoo: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parent.parent
    checkout = package.parent / "mirrors.yaml"
    return checkout if (package.parent / "pyproject.toml").is_file() else package / "mirrors.yaml"


def read_bundled_file() -> Mirrors:
    """What mirrors.yaml says as it comes with zoo: from the form that was made of it when zoo was built, if that fits.

    Raises:
        BadMirrors: It was damaged.
    """
    path = bundled_file()
    found = compiled_rules(COMPILED_FILE, _bytes_of(path))
    return read_mirrors(path) if found is None else found


def compiled_mirrors(path: Path) -> bytes:
    """A mirrors file in the form that is read at every start; `hatch_build.py` puts it at `COMPILED_FILE`.

    Raises:
        BadMirrors: The file is wrong.
        ValueError: It cannot be written in that form.
    """
    from zoo_cli.transfer.mirrorsfile import parse_mirrors

    data = _bytes_of(path)
    return compile_rules(data, parse_mirrors(path.name, data))


def config_directory(environ: Mapping[str, str]) -> Path:
    """Where the user's own files of zoo are: XDG_CONFIG_HOME/zoo, else ~/.config/zoo."""
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "zoo"


def user_file(environ: Mapping[str, str]) -> Path | None:
    """The user's mirrors file, if there is one."""
    named = environ.get("ZOO_MIRRORS")
    if named:
        return Path(named)
    usual = config_directory(environ) / "mirrors.yaml"
    return usual if usual.is_file() else None


def parse_option(text: str) -> Rule:
    """The rule of one `--mirror FROM=TO`; tried before the original.

    `https://download.openmmlab.com=http://127.0.0.1:8000/openmmlab`; TO may be a directory.

    Raises:
        BadMirrorOption: It is not FROM=TO, or one side is no address.
    """
    found = re.fullmatch(r"(https?://[^=\s]*)=(\S.*)", text.strip())
    if not found:
        raise BadMirrorOption(redacted(text[:300]), "it must be FROM=TO, and FROM begins with https:// or http://")
    from zoo_cli.transfer.mirrorsfile import start_of, target_of

    start, to = found.groups()
    try:
        return Rule(start_of(start), (target_of(to, may_be_relative=True),), source="--mirror")
    except BadAddress as exc:
        raise BadMirrorOption(redacted(text[:300]), exc.why) from exc


def read_mirrors(path: Path) -> Mirrors:
    """The rules and hosts of one file.

    Raises:
        BadMirrors: It cannot be read, or anything in it is not known.
    """
    return _parsed(path, _bytes_of(path))


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise _bad_file(path, exc.strerror or str(exc)) from exc
    if len(data) > MAX_FILE_BYTES:
        raise _bad_file(path, f"it is larger than {MAX_FILE_BYTES} bytes")
    return data


def _bad_file(path: Path, why: str, key: str = "") -> BadMirrors:
    from zoo_cli.transfer.mirrorsfile import BadMirrors

    return BadMirrors(str(path), 0, key, why)


def _parsed(path: Path, data: bytes) -> Mirrors:
    found = kept_rules(path, data)
    if found is None:
        from zoo_cli.transfer.mirrorsfile import parse_mirrors

        found = parse_mirrors(str(path), data)
        keep_rules(path, data, found)
    return found
