"""What fetches: zoo and its peers, each as a whole process from start to exit, the digest checked.

`python -m benchmarks.transfer.peers NAME ...` runs those peers that are libraries, inside the environment for them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

WITH_GOALS = ("requests", "aiohttp")
# setuptools: openmim imports pkg_resources, which later ones do not have
LIBRARIES = (*WITH_GOALS, "huggingface_hub", "openmim", "setuptools<81")


def environment(folder: Path, wanted: tuple[str, ...] = LIBRARIES) -> str:
    """A Python with peers that are libraries, made once under benchmarks/work."""
    place = folder / ("peers" if wanted == LIBRARIES else "peers-with-goals")
    python, mark = place / "bin" / "python", place / "made-of"
    if not mark.exists() or mark.read_text() != "\n".join(wanted):
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted], check=True, stderr=subprocess.DEVNULL)
        mark.write_text("\n".join(wanted))
    return str(python)


def installed_zoo(folder: Path) -> str:
    """The command zoo as users have it, and as the peers are: a wheel of this checkout, installed and compiled."""
    place = folder / "zoo"
    python = place / "bin" / "python"
    wheels = folder / "wheel"
    shutil.rmtree(wheels, ignore_errors=True)
    build = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(ROOT)]
    subprocess.run([sys.executable, *build], check=True, stderr=subprocess.DEVNULL)
    (wheel,) = wheels.iterdir()
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    install = [str(python), "-m", "pip", "install", "-q", str(wheel)]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)  # and what it needs
    subprocess.run([*install, "--no-deps", "--force-reinstall"], check=True, stderr=subprocess.DEVNULL)
    return str(place / "bin" / "zoo")


class Programs(NamedTuple):
    """What is run."""

    zoo: str  # the command
    python: str  # of the peers that are libraries
    all_peers: bool  # or only those that a goal names


def shell(fetch: str, out: Path, digest: str) -> list[str]:
    check = f"test \"$(openssl dgst -sha256 -r '{out}' | cut -c1-64)\" = {digest}"
    return ["sh", "-c", f"{fetch} && {check}"]


def one_file(url: str, out: Path, digest: str, programs: Programs, ca: Path | None = None) -> dict[str, list[str]]:
    """Peers for one file; curl with openssl is what others are compared with."""
    curl_ca = f"--cacert '{ca}'" if ca else ""
    wget_ca = f"--ca-certificate='{ca}'" if ca else ""
    aria = ["aria2c", "-q", "-x16", "-s16", "--allow-overwrite=true", "--file-allocation=none", "--no-conf",
            f"--checksum=sha-256={digest}", "-d", str(out.parent), "-o", out.name]  # fmt: skip
    if ca:
        aria.append(f"--ca-certificate={ca}")
    library = [programs.python, str(Path(__file__)), "--"]
    rows = {
        "curl + openssl": shell(f"curl -sSf {curl_ca} -o '{out}' {url}", out, digest),
        "zoo fetch": [programs.zoo, "fetch", url, "-o", str(out), "--sha256", digest, "-q"],
        "aria2c -x16": [*aria, url],
        "aria2c -x16 -k1M": [*aria, "-k1M", url],
        "requests": [*library, "requests", url, str(out), digest],
    }
    if not programs.all_peers:
        return rows
    from tests.support.torch_env import torch_python

    return rows | {
        "wget + openssl": shell(f"wget -q {wget_ca} -O '{out}' {url}", out, digest),
        "torch.hub": [torch_python(), *library[1:], "hub", url, str(out), digest],
        "mim": [*library, "mim", url, str(out), digest],
        "huggingface_hub": [*library, "hf", url, str(out), digest],
    }


def many_files(base: str, names: list[str], digests: list[str], out: Path, programs: Programs) -> dict[str, list[str]]:
    """Peers for many files, the digests checked; lists stand beside the output."""
    rows = list(zip(names, digests, strict=True))
    lists = out.parent
    (lists / "list.tsv").write_text("".join(f"{base}/{name}\t{name}\t{digest}\n" for name, digest in rows))
    (lists / "list.sums").write_text("".join(f"{digest}  {out}/{name}\n" for name, digest in rows))
    (lists / "list.urls").write_text("".join(f"{base}/{name}\n" for name in names))
    (lists / "list.aria2").write_text(
        "".join(f"{base}/{name}\n  checksum=sha-256={digest}\n  out={name}\n" for name, digest in rows)
    )
    check = f"openssl dgst -sha256 -r {out}/* | cut -c1-64 | sort | cmp -s - '{lists}/sorted'"
    (lists / "sorted").write_text("".join(sorted(f"{digest}\n" for digest in digests)))
    library = [programs.python, str(Path(__file__)), "--"]
    found = {
        "aiohttp, 16 connections": [*library, "aiohttp", str(lists / "list.tsv"), str(out), "16"],
        "zoo fetch --from": [programs.zoo, "fetch", "--from", str(lists / "list.tsv"), "-q", "-o", str(out)],
        "aria2c -j16": ["aria2c", "-q", "-j16", "-i", str(lists / "list.aria2"), "-d", str(out), "--no-conf",
                        "--file-allocation=none", "--allow-overwrite=true"],
    }  # fmt: skip
    if not programs.all_peers:
        return found
    return found | {
        "curl -Z + openssl": ["sh", "-c", f"cd '{out}' && xargs curl -sSf -Z --parallel-max 16 --remote-name-all "
                              f"< '{lists}/list.urls' && {check}"],
        "wget -i + openssl": ["sh", "-c", f"wget -q -P '{out}' -i '{lists}/list.urls' && {check}"],
        "requests, 8 threads": [*library, "requests8", str(lists / "list.tsv"), str(out), "8"],
    }  # fmt: skip


# -- run in the environment of the libraries ---------------------------------------------------------------------------


def by_requests(url: str, out: str, digest: str) -> None:
    import hashlib

    import requests

    found = hashlib.sha256()
    with requests.get(url, stream=True, timeout=30) as answer, Path(out).open("wb") as file:
        answer.raise_for_status()
        for block in answer.iter_content(1 << 20):
            file.write(block)
            found.update(block)
    assert found.hexdigest() == digest


def by_hub(url: str, out: str, digest: str) -> None:
    """torch.hub itself, with the import of torch that everyone who calls it pays."""
    from torch.hub import download_url_to_file

    download_url_to_file(url, out, hash_prefix=digest, progress=False)


def by_mim(url: str, out: str, digest: str) -> None:
    """What `mim download` calls for each checkpoint, with mim's own import; the command itself gives no digest."""
    from mim.utils import download_from_file  # type: ignore[import-not-found]

    download_from_file(url, out, hash_prefix=digest)


def by_hf(url: str, out: str, digest: str) -> None:
    import hashlib

    from huggingface_hub.file_download import http_get

    with Path(out).open("wb") as file:
        http_get(url, file)
    with Path(out).open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest


def rows_of(path: str) -> list[list[str]]:
    return [line.split("\t") for line in Path(path).read_text().splitlines()]


def by_aiohttp(path: str, out: str, connections: str) -> None:
    import asyncio
    import hashlib

    import aiohttp

    async def one(session: aiohttp.ClientSession, url: str, name: str, digest: str) -> None:
        found = hashlib.sha256()
        async with session.get(url) as answer:
            answer.raise_for_status()
            with (Path(out) / name).open("wb") as file:
                async for block in answer.content.iter_chunked(1 << 20):
                    file.write(block)
                    found.update(block)
        assert found.hexdigest() == digest

    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=int(connections))
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(one(session, *row) for row in rows_of(path)))

    asyncio.run(main())


def by_requests_threads(path: str, out: str, threads: str) -> None:
    import hashlib
    import threading
    from concurrent.futures import ThreadPoolExecutor

    import requests

    local = threading.local()

    def one(row: list[str]) -> None:
        url, name, digest = row
        if not hasattr(local, "session"):
            local.session = requests.Session()
        body = local.session.get(url, timeout=30).content
        (Path(out) / name).write_bytes(body)
        assert hashlib.sha256(body).hexdigest() == digest

    with ThreadPoolExecutor(int(threads)) as pool:
        list(pool.map(one, rows_of(path)))


WAYS = {
    "requests": by_requests,
    "hub": by_hub,
    "mim": by_mim,
    "hf": by_hf,
    "aiohttp": by_aiohttp,
    "requests8": by_requests_threads,
}

if __name__ == "__main__":
    WAYS[sys.argv[2]](*sys.argv[3:])
