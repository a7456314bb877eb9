"""One cache of a group, used by real users: what one stored serves the other, and neither can harm the other."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, Slow
from tests.transfer.conftest import BODY, DIGEST
from zoo_cli.transfer.store import Store

ANN, BOB, GROUP = 23451, 23452, 23450
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root becomes other users"),
]


@pytest.fixture(params=[0o2775, 0o3775], ids=["2775", "3775"])
def shared(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory of the group, on a way that everybody may go: pytest closes those above `tmp_path` to others."""
    with tempfile.TemporaryDirectory(prefix="zoo-two-users-") as place:
        Path(place).chmod(0o755)
        root = Path(place) / "cache"
        root.mkdir()
        os.chown(root, 0, GROUP)
        root.chmod(request.param)
        yield root


def start(user: int, shared: Path, *words: str, umask: int = 0o002) -> subprocess.Popen[str]:
    """Zoo as that user, who may read whatever the interpreter needs and owns nothing but their own."""
    home = shared.parent / f"home-{user}"
    if not home.exists():
        home.mkdir()
        os.chown(home, user, GROUP)
    environ = {**os.environ, "ZOO_CACHE": str(shared), "HOME": str(home), "NO_PROXY": "*"}
    for name in ("ZOO_STATE", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        environ.pop(name, None)
    only = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    argv = ["setpriv", f"--reuid={user}", f"--regid={GROUP}", "--clear-groups", *only, sys.executable, "-m", "zoo_cli"]
    return subprocess.Popen(
        [*argv, *words], env=environ, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        umask=umask,
    )  # fmt: skip


def run(user: int, shared: Path, *words: str, umask: int = 0o002) -> tuple[int, str]:
    child = start(user, shared, *words, umask=umask)
    out, err = child.communicate(timeout=60)
    return child.returncode, out + err


def fetch_words(server: Server) -> tuple[str, ...]:
    return ("fetch", server.url("/a.pth"), "-o", "a.pth", "--sha256", DIGEST)


def test_what_one_stored_serves_the_other(server: Server, shared: Path) -> None:
    assert run(ANN, shared, *fetch_words(server))[0] == 0
    kept = Store(shared).path_of(DIGEST)
    about = kept.stat()
    assert (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) == (ANN, GROUP, 0o444)
    assert stat.S_IMODE(kept.parent.stat().st_mode) == stat.S_IMODE(shared.stat().st_mode)
    code, talk = run(BOB, shared, *fetch_words(server))
    assert code == 0 and "from the cache" in talk and len(server.requests) == 1
    home = shared.parent / f"home-{BOB}"
    assert (home / "a.pth").read_bytes() == BODY
    kept.chmod(0o644)
    kept.write_bytes(bytes(len(BODY)))  # Ann, or who broke into her account, forges it
    os.utime(kept, ns=(about.st_atime_ns, about.st_mtime_ns))
    kept.chmod(0o444)
    (home / "a.pth").unlink()
    code, talk = run(BOB, shared, *fetch_words(server))
    assert code == 0 and (home / "a.pth").read_bytes() == BODY and len(server.requests) == 2


def test_one_prunes_what_they_may(server: Server, shared: Path) -> None:
    assert run(ANN, shared, *fetch_words(server))[0] == 0
    (shared.parent / f"home-{ANN}" / "a.pth").unlink()
    kept = Store(shared).path_of(DIGEST)
    os.utime(kept, ns=(0, kept.stat().st_mtime_ns - 10**9 * 86400))
    code, talk = run(BOB, shared, "cache", "prune", "--max-size", "0")
    is_sticky = bool(shared.stat().st_mode & stat.S_ISVTX)
    assert "Traceback" not in talk and code in (0, 1)
    assert kept.exists() == is_sticky
    assert run(ANN, shared, "cache", "prune", "--max-size", "0")[0] == 0 and not kept.exists()


def test_both_at_once(server: Server, shared: Path) -> None:
    server.always("/a.pth", Slow(400_000))
    children = [start(user, shared, *fetch_words(server)) for user in (ANN, BOB)]
    talk = "".join(child.communicate(timeout=60)[1] for child in children)
    assert [child.returncode for child in children] == [0, 0], talk
    for user in (ANN, BOB):
        assert (shared.parent / f"home-{user}" / "a.pth").read_bytes() == BODY
    kept = Store(shared).path_of(DIGEST)
    assert "is not kept in the cache" in talk and "another user is writing it" in talk
    assert kept.read_bytes() == BODY and not [each for each in kept.parent.iterdir() if each.name.startswith(".")]


def test_the_umask_of_one_does_not_keep_the_other_out(server: Server, shared: Path) -> None:
    """Also where a file has another name in the cache: both put one into the same directory."""
    for user, name in ((ANN, "ann.whl"), (BOB, "bob.whl")):
        place = shared / "wheels" / "host" / name
        code, talk = run(user, shared, "fetch", server.url("/a.pth"), "-o", str(place), "--sha256", DIGEST, umask=0o077)
        assert code == 0 and place.stat().st_mode & 0o400, talk
    folders = [each for each in shared.rglob("*") if each.is_dir()]
    assert {stat.S_IMODE(each.stat().st_mode) for each in folders} == {stat.S_IMODE(shared.stat().st_mode)}


def test_what_programs_said_is_kept_where_only_its_user_can_write(shared: Path) -> None:
    code, talk = run(BOB, shared, "check-env", umask=0o077)
    assert code in (0, 1), talk
    assert not list(shared.iterdir())
    assert (shared.parent / f"home-{BOB}" / ".local/state/zoo/cache/interpreters").is_dir()
