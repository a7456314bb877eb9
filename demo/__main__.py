"""Walks through the main job in a fresh directory; every command shown is really run.

    python -m demo [--online]

From the package registries come: torch's CPU wheel (through the user's own pip), mmcv's sdist, mmdet and all else.
The upstream hosts are played by one server on loopback, laid out as they are: mmcv wheels on a find-links page among
decoys, torch's index, and the checkpoint. With --online the real hosts are asked instead. Kept between runs, under
demo/work: zoo's cache (the compiled wheel) and torch's wheel.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from demo.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
WORK = HERE / "work"
MODEL = "yolov3_mobilenetv2_320_300e_coco"  # its 2.x name, as every tutorial writes it
TORCH = "2.13.0"
MMCV = "2.1.0"


class DemoFailed(Exception):
    """A command of the demo did not do what it should."""


@dataclass
class Story:
    """Runs commands and tells them."""

    work: Path
    environ: dict[str, str]
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A heading with the time since the start."""
        sys.stdout.write(f"\n--- {time.monotonic() - self.started:5.1f} s  {text}\n")
        sys.stdout.flush()

    def run(self, *argv: str | Path, expect: int = 0, quiet: bool = False) -> str:
        """Shows a command, runs it in the work directory, returns its stdout; another exit code ends the demo."""
        words = [str(word) for word in argv]
        shown = ["zoo", *words[3:]] if words[1:3] == ["-m", "zoo_cli"] else words
        if not quiet:
            sys.stdout.write(f"$ {shlex.join(self._short(word) for word in shown)}\n")
            sys.stdout.flush()
        done = subprocess.run(words, cwd=self.work, env=self.environ, stdout=subprocess.PIPE, text=True, check=False)
        if done.stdout and not quiet:
            sys.stdout.write(self._short(done.stdout))
            sys.stdout.flush()
        if done.returncode != expect:
            raise DemoFailed(f"exit code {done.returncode}, expected {expect}: {shlex.join(shown)}")
        return done.stdout

    def zoo(self, *words: str | Path, expect: int = 0, quiet: bool = False) -> str:
        """Runs a zoo command."""
        return self.run(sys.executable, "-m", "zoo_cli", *words, expect=expect, quiet=quiet)

    def _short(self, text: str) -> str:
        return text.replace(str(self.work) + os.sep, "").replace(str(self.work), ".")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument("--online", action="store_true", help="take wheels and checkpoint from the real hosts")
    online = parser.parse_args().online
    story = Story(WORK, _environment())
    for name in ("env", "builder", "model", "index"):
        shutil.rmtree(WORK / name, ignore_errors=True)
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "mirrors.yaml").write_text("version: 1\nmirrors: []\n")
    try:
        _online(story) if online else _on_loopback(story)
    except DemoFailed as error:
        sys.stdout.write(f"\ndemo failed: {error}\n")
        return 1
    story.say("done")
    return 0


def _environment() -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ZOO_", "VIRTUAL_ENV"))}
    return environ | {
        "ZOO_CACHE": str(WORK / "cache"),
        "ZOO_STATE": str(WORK / "state"),
        "ZOO_MIRRORS": str(WORK / "mirrors.yaml"),
        "PYTHONPATH": str(HERE.parent),
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "MPLCONFIGDIR": str(WORK / "cache" / "matplotlib"),
    }


def _look_around(story: Story) -> None:
    story.say("What is this machine, and what fits on it?")
    story.zoo("check-env", "--python", sys.executable)
    story.say("Which models reach 50 box AP on COCO? (offline, from the index)")
    story.zoo("list", "mmdet", "--filter", "box_AP>=50 and dataset=COCO and collection=DDQ")


def _on_loopback(story: Story) -> None:
    _look_around(story)
    with Site(WORK / "site") as site:
        story.say("A site laid out like the upstream hosts, on loopback; zoo is sent there by a mirrors file:")
        sys.stdout.write(site.write_mirrors(WORK / "mirrors.yaml"))
        site.add_torch(TORCH, sys.executable)
        wheel = site.kept_ops_wheel()
        if wheel is None:
            story.say(
                f"No mmcv wheel is kept from an earlier run: compile mmcv {MMCV} from its sdist with zoo's builder"
            )
            story.zoo("install", f"torch=={TORCH}", "--env", WORK / "builder", "--device", "cpu")
            story.zoo("build", f"mmcv=={MMCV}", "--python", WORK / "builder/bin/python", "-o", site.ops_directory)
        site.add_decoys()
        story.say("The find-links page, with decoys beside the right wheel")
        sys.stdout.write("".join(f"    {name}\n" for name in site.page_names()))
        story.say("Install a stack that works together")
        python = WORK / "env/bin/python"
        story.zoo("install", "mmdet", "--env", WORK / "env", "--device", "cpu", "--find-links", site.ops_page)
        story.run(python, "-c", "import mmcv.ops, mmdet")
        story.zoo("check-env", "--python", python)
        with _index_with_checkpoint(story, site, python) as environ:
            story.environ |= environ
            story.say("Download a model by the name that every tutorial uses")
            story.zoo("download", MODEL, "--dest", WORK / "model")
        _infer(story, python)


@contextlib.contextmanager
def _index_with_checkpoint(story: Story, site: Site, python: Path) -> Iterator[dict[str, str]]:
    """Upstream's file cannot be had here: one with random weights is made, named with its own true digest.

    A copy of the index names that file instead, so the download is checked against a digest that can match.
    """
    story.say("A checkpoint for that model, built from its config (random weights), named with its true digest")
    story.zoo("download", MODEL, "--config-only", "--dest", WORK / "model", quiet=True)
    config = WORK / "model" / f"{MODEL}.py"
    stem = f"{MODEL}_20210719_215349"
    made = story.run(python, HERE / "checkpoint.py", config, site.checkpoint_directory(MODEL), stem).strip()
    config.unlink()
    yield {"ZOO_INDEX": str(site.index_naming(WORK / "index", f"{stem}-d18dff72.pth", Path(made)))}


def _infer(story: Story, python: Path) -> None:
    story.say("Real inference with the downloaded pair, on a generated image")
    checkpoint = next((WORK / "model").glob(f"{MODEL}*.pth"))
    story.run(python, "-W", "ignore", HERE / "infer.py", WORK / "model" / f"{MODEL}.py", checkpoint)


def _online(story: Story) -> None:
    _look_around(story)
    python = WORK / "env/bin/python"
    story.say("Install from the real hosts")
    story.zoo("install", "mmdet", "--env", WORK / "env")
    story.zoo("check-env", "--python", python)
    story.say("Download from the real hosts")
    story.zoo("download", MODEL, "--dest", WORK / "model")
    _infer(story, python)


if __name__ == "__main__":
    sys.exit(main())
