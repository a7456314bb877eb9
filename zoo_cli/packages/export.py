"""A lock in the words of other tools: requirements for pip and uv, a conda environment, a script, a notebook cell.

Pure. Every form installs exactly the locked wheels: binary ones by address, others by version, all by SHA-256
(pip's hash-checking mode), and nothing is resolved again.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.modelexport import shell_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo_cli.packages.locked import Lock, LockedPackage

_REQUIREMENTS = "requirements.zoo.txt"


class LockHasSources(ZooError):
    """The lock has something that is built, and another tool's form names wheels by their SHA-256."""

    code = "lock-has-sources"
    exit_code = ExitCode.USAGE

    path: str
    form: str
    projects: tuple[str, ...]


def require_releases(lock: Lock, path: str, form: str) -> None:
    """Refuses locks with repositories, directories and archives; for an image also sdists, which pip would build.

    Raises:
        LockHasSources: it has some.
    """
    built = [each for each in lock.packages if each.built_from or (form == "dockerfile" and not each.wheels)]
    if built:
        raise LockHasSources(path, form, tuple(each.project for each in built))


def requirements(lock: Lock) -> str:
    """Requirements in hash-checking mode, for `pip install --no-deps -r` and `uv pip install --no-deps -r`."""
    return "".join([f"{line}\n" for line in (*head(lock), *map(requirement, sorted(lock.packages)))])


def head(lock: Lock) -> list[str]:
    """Comment lines: what it is, and the least machine."""
    about = f"# {' '.join(lock.requested)}: made by zoo, facts of {lock.index_date}"
    least = ", ".join(f"{name} {value}" for name, value in sorted(lock.minimum.items()))
    return [about, f"# needs: {least}"] if least else [about]


def requirement(package: LockedPackage) -> str:
    """One line of requirements in hash-checking mode."""
    files = sorted({each.sha256: each for each in package.wheels}.values())
    marker = f" ; {package.marker}" if package.marker else ""
    if package.evidence and files:  # of the binary stack: this very file, from nowhere else
        return f"{package.project} @ {files[0].url}{marker} --hash=sha256:{files[0].sha256}"
    hashes = "".join(f" --hash=sha256:{each.sha256}" for each in files or ((package.sdist,) if package.sdist else ()))
    return f"{package.project}=={package.version}{marker}{hashes}"


def conda(lock: Lock) -> str:
    """An `environment.yml`: Python from conda-forge, everything else as locked, by pip."""
    lines = [
        *head(lock),
        f"name: {_environment_name(lock)}",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f"  - python={python_of(lock)}",
        "  - pip",
        "  - pip:",
        "      - --no-deps",
        *(f"      - {_quoted(requirement(package))}" for package in sorted(lock.packages)),
    ]
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    """A YAML string in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def _environment_name(lock: Lock) -> str:
    first = re.match(r"[a-z0-9-]+", lock.requested[0].lower()) if lock.requested else None
    return f"zoo-{first[0]}" if first else "zoo"


def python_of(lock: Lock) -> str:
    """The minor version that the lock is for."""
    found = re.search(r"python_version == '(\d+\.\d+)'", lock.environment) or re.search(
        r"(\d+\.\d+)", lock.requires_python
    )
    return found[1] if found else "3"


def script(lock: Lock, configs: Mapping[str, str]) -> str:
    """A POSIX shell script that makes an environment `env` (or its first argument) with the locked packages.

    Models go into `models` (or its second argument); `configs` are the texts of theirs, by file name.
    """
    python = f"python{python_of(lock)}"
    lines = [
        "#!/bin/sh",
        *head(lock),
        "set -eu",
        'env="${1:-env}"',
        *(['models="${2:-models}"'] if lock.models else []),
        f'{python} -m venv "$env"',
        f"cat > \"$env/{_REQUIREMENTS}\" <<'ZOO'",
        *map(requirement, sorted(lock.packages)),
        "ZOO",
        f'"$env/bin/python" -m pip install --no-deps --require-hashes -r "$env/{_REQUIREMENTS}"',
        *(['python="$(cd "$env" && pwd)/bin/python"'] if lock.models else []),
        *shell_lines(lock, configs, '"$python"', '"$models"'),
    ]
    return "".join(f"{line}\n" for line in lines)


def colab(lock: Lock, configs: Mapping[str, str]) -> str:
    """A notebook cell: installs into the runtime, which has to be restarted once; models go into `models`."""
    name = shlex.quote(_REQUIREMENTS)
    lines = [
        "%%bash",
        *head(lock),
        f"cat > {name} <<'ZOO'",
        *map(requirement, sorted(lock.packages)),
        "ZOO",
        f"python -m pip install --no-deps --require-hashes -r {name}",
        *shell_lines(lock, configs, "python", "models"),
        'echo "Restart the runtime once: Runtime > Restart session"',
    ]
    return "".join(f"{line}\n" for line in lines)


WITHOUT_MODELS = {"requirements": requirements, "conda": conda}  # they have no words for files
WITH_MODELS = {"script": script, "colab": colab}
