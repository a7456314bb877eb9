"""Builds Dockerfiles where there is no Docker: their instructions, one by one, in a root directory of Debian 12.

Only what zoo writes is understood, and anything else is an error: FROM, ENV, COPY of a here-document, RUN with secrets,
USER, WORKDIR, CMD (https://docs.docker.com/reference/dockerfile/). Debian's own python3.11 stands for that of the image
in FROM, which cannot be had here; so what the registry's image holds besides is not tested. Needs root, for chroot.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.torch_env import made_once

_PACKAGES = "python3,python3-venv,ca-certificates"
_SECRET = re.compile(r"--mount=type=secret,id=(\w+),target=(\S+)\s+")


def apt_install(program: str, package: str) -> None:
    """Installs a Debian package unless its program is there."""
    if shutil.which(program) is None:
        subprocess.run(["apt-get", "update", "-qq"], check=True, timeout=300, capture_output=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", package], check=True, timeout=300, capture_output=True)


def lint(dockerfile: Path) -> str:
    """What `dockerfile-utils`, the linter of Docker's editor extension, says; "" when it finds nothing."""
    apt_install("npm", "npm")

    def make(place: Path) -> None:
        place.mkdir(parents=True)
        (place / "package.json").write_text("{}")
        argv = ["npm", "install", "--no-audit", "--no-fund", "--silent", "dockerfile-utils@0.16.3"]
        subprocess.run(argv, cwd=place, check=True, timeout=300, capture_output=True)

    program = made_once("dockerfile-utils", make, "0.16.3") / "node_modules/dockerfile-utils/bin/dockerfile-utils"
    done = subprocess.run(["node", program, "lint", dockerfile], text=True, capture_output=True, timeout=60)
    return done.stdout + done.stderr


def debian_root(place: Path) -> Path:
    """A new root directory of Debian 12 with its Python; its archive is made once and kept."""
    apt_install("mmdebstrap", "mmdebstrap")

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        argv: list[str | Path] = [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={_PACKAGES}",
            "bookworm",
            folder / "root.tar",
        ]
        subprocess.run(argv, check=True, timeout=900, capture_output=True)

    archive = made_once("debian-root", make, _PACKAGES) / "root.tar"
    place.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", place], check=True, timeout=300)
    for each in ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"):  # how this computer reaches the network
        if Path(each).is_file():
            shutil.copy2(each, place / each.lstrip("/"))
    return place


@dataclass
class Build:
    """One build: its root directory, and what the instructions have set so far."""

    root: Path
    secrets: dict[str, Path]
    base: str = ""
    user: str = "root"
    directory: str = "/"
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(
        default_factory=lambda: {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
        }
    )

    def run(self, *argv: str) -> str:
        """Runs a command in the root directory as the user of the moment."""
        inside: list[str | Path] = ["chroot", f"--userspec={self.user}", self.root, "env", "-C", self.directory, *argv]
        done = subprocess.run(inside, env=self.env, text=True, capture_output=True, timeout=1200, check=False)
        assert done.returncode == 0, f"{argv}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def build(self, text: str) -> None:
        """Does every instruction."""
        for word, rest, document in instructions(text):
            getattr(self, f"_{word.lower()}")(rest, document)

    def _from(self, rest: str, _document: str) -> None:
        assert not self.base, "one stage only"
        self.base = rest

    def _env(self, rest: str, _document: str) -> None:
        for pair in rest.split():
            name, _, value = pair.partition("=")
            self.env[name] = re.sub(r"\$(\w+)", lambda found: self.env[found[1]], value)

    def _copy(self, rest: str, document: str) -> None:
        target = self.root / rest.split()[1].lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(document)

    def _run(self, rest: str, _document: str) -> None:
        given = [(self.secrets.get(name), self.root / target.lstrip("/")) for name, target in _SECRET.findall(rest)]
        for source, target in given:
            if source:  # BuildKit leaves a secret out that was not given
                shutil.copy2(source, target)
        self.run("/bin/sh", "-c", _SECRET.sub("", rest))
        for source, target in given:
            if source:
                target.unlink()

    def _user(self, rest: str, _document: str) -> None:
        self.user, self.env["HOME"] = rest, f"/home/{rest}"

    def _workdir(self, rest: str, _document: str) -> None:
        self.directory = rest

    def _cmd(self, rest: str, _document: str) -> None:
        self.command = json.loads(rest)


def instructions(text: str) -> list[tuple[str, str, str]]:
    """Word, rest on one line, and here-document of every instruction."""
    found = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line or line.startswith("#"):
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(lines).strip()
        word, _, rest = line.partition(" ")
        document = ""
        if here := re.search(r"<<'(\w+)'", rest):
            while (inner := next(lines)) != here[1]:
                document += inner + "\n"
        found.append((word, rest, document))
    return found


def pip_settings() -> Path | None:
    """The user's own pip configuration, for a build's secret."""
    places = [Path("/etc/pip.conf"), Path("~/.config/pip/pip.conf").expanduser(), Path("~/.pip/pip.conf").expanduser()]
    named = os.environ.get("PIP_CONFIG_FILE")
    return next((place for place in [*([Path(named)] if named else []), *places] if place.is_file()), None)
