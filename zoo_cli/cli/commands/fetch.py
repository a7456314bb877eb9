"""`zoo fetch`: any file from the first of several addresses that delivers it, or a whole list of files."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from zoo_cli.cli.options import FiniteRange, common_options, parse_size, pass_console
from zoo_cli.cli.sources import users_mirrors
from zoo_cli.machine.files import is_there
from zoo_cli.transfer.addresses import file_name_of, local_path
from zoo_cli.transfer.events import nothing
from zoo_cli.transfer.failures import BadAddress, DestinationExists
from zoo_cli.transfer.fetch import Settings, Wanted, fetch
from zoo_cli.transfer.hashes import parse_sha256, prefix_in_name
from zoo_cli.transfer.health import users_health
from zoo_cli.transfer.sources import kind_of
from zoo_cli.transfer.store import users_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from zoo_cli.cli.console import Console
    from zoo_cli.transfer.batch import Job
    from zoo_cli.transfer.events import Event, Listener
    from zoo_cli.transfer.fetch import Received
    from zoo_cli.transfer.hashes import Sha256
    from zoo_cli.transfer.sources import Mirrors
    from zoo_cli.transfer.throttle import Throttle


class _Existing(TypedDict):
    """What is done with a file at the destination, as `transfer.fetch` has it."""

    replace: bool
    keep: bool


@click.command(
    "fetch",
    epilog="Examples: zoo fetch https://host/model-5a0be7c4.pth -o model.pth; "
    "zoo fetch URL --mirror URL2 --sha256 HEX -o FILE; zoo fetch --from files.tsv -o data. "
    "Exit codes: zoo help exit-codes.",
)
@click.argument("urls", nargs=-1, metavar="[URL...]")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="The file, or a directory for it: one that is there, or ends in a slash. With several, the directory.",
)
@click.option("--sha256", "sha256_text", metavar="HEX", help="The full digest the file must have.")
@click.option("--mirror", "others", multiple=True, metavar="URL", help="Another address of the same file; repeatable.")
@click.option("--size", "size_bytes", type=click.IntRange(min=0), metavar="BYTES", help="The size it must have.")
@click.option("--from", "list_file", metavar="LIST.tsv", help="Lines of address, destination, sha256; - is stdin.")
@click.option("--jobs", type=click.IntRange(1, 64), default=16, show_default=True, help="Files at once.")
@click.option("--limit-rate", type=parse_size, metavar="RATE", help="Bytes a second for all together: 5MB.")
@click.option(
    "--connections", type=click.IntRange(1, 64), default=24, show_default=True, help="The most to one host at a time."
)
@click.option("--max-time", type=FiniteRange(0, min_open=True), metavar="SECONDS", help="For each file, all in all.")
@click.option("--events", is_flag=True, help="Lines of JSON on stdout: each event, at last the results.")
@click.option("--force", is_flag=True, help="Replace another file at the destination.")
@click.option("--skip-existing", is_flag=True, help="A file that is there counts, if nothing is known to check it by.")
@common_options
@pass_console
@click.pass_context
def command(
    context: click.Context,
    console: Console,
    urls: tuple[str, ...],
    output: str | None,
    sha256_text: str | None,
    others: tuple[str, ...],
    size_bytes: int | None,
    list_file: str | None,
    jobs: int,
    limit_rate: int | None,
    connections: int,
    max_time: float | None,
    events: bool,
    force: bool,
    skip_existing: bool,
) -> None:
    """Fetch any file: resumed, verified, and under its final name only when it is right.

    URL is an http, https or file address, or a path. Rules of mirrors.yaml apply (zoo help mirrors). Several URLs, or a
    list, are fetched at once; a file that fails stops no other.
    """
    settings = Settings(
        offline=console.offline, health=users_health(console.environ), connections=connections,
        total_seconds=max_time, throttle=_throttle(limit_rate),
    )  # fmt: skip
    if output == "-":
        raise click.UsageError("A file is handed out when all of it is right, so not on stdout: -o FILE, or -o ./- .")
    existing: _Existing = {"replace": force, "keep": skip_existing}
    if list_file is None and len(urls) == 1:
        _one(console, (urls[0], *others), output, sha256_text, size_bytes, settings, events, existing)
        return
    if urls and list_file is not None:
        raise click.UsageError("Name URLs, or a list with --from, not both.")
    if not urls and list_file is None:
        raise click.UsageError("Name one or more URLs, or a list with --from.")
    if sha256_text or others or size_bytes is not None:
        raise click.UsageError("--sha256, --size and --mirror are of one file. For several: zoo fetch --from LIST.tsv")
    folder = Path(output or "")
    work = _from_urls(console, urls, folder) if urls else _from_list(console, str(list_file), folder)
    context.exit(_many(console, work, settings, jobs, events, existing))


def _throttle(limit_rate: int | None) -> Throttle | None:
    if limit_rate is None:
        return None
    from zoo_cli.transfer.throttle import Throttle

    if not limit_rate:
        raise click.BadParameter("a rate of 0 would never end")
    return Throttle(limit_rate)


def _one(
    console: Console,
    urls: tuple[str, ...],
    output: str | None,
    sha256_text: str | None,
    size_bytes: int | None,
    settings: Settings,
    events: bool,
    existing: _Existing,
) -> None:
    name = file_name_of(urls[0])
    into = not output or output.endswith("/") or is_there(f"{output}/.")  # a directory: under its own name there
    if not name and into:
        raise BadAddress(urls[0][:300], "it has no file name; choose one with -o FILE")
    place = Path(output or "", name) if into else Path(str(output))
    digest = parse_sha256(sha256_text) if sha256_text else None
    wanted = wanted_file(name or str(output), urls, digest, users_mirrors(console), size_bytes)
    store = users_store() if digest else None  # without a digest nobody could ask for the file again
    with _progress(console) as progress:
        listen = _listener(console, progress, events)
        received = fetch(wanted, place, settings, listen, store=store, **existing)
    if console.json or events:
        console.document({"ok": True, "command": "fetch", **_document(received, place)})
    else:
        console.data(str(place))


def wanted_file(
    name: str, urls: Sequence[str], digest: Sha256 | None, mirrors: Mirrors, size_bytes: int | None = None
) -> Wanted:
    """What is asked for: addresses after mirror rules, and the digest given or named in the file."""
    kind = kind_of(name)
    addresses = tuple(
        address for url in urls for address in ((url,) if local_path(url) else mirrors.addresses(url, kind))
    )
    return Wanted(
        name=name,
        urls=tuple(dict.fromkeys(addresses)),
        size_bytes=size_bytes,
        sha256=digest,
        prefix=prefix_in_name(name),
        basis="given",
    )


def _from_urls(console: Console, urls: Sequence[str], folder: Path) -> list[Job]:
    from zoo_cli.transfer.batch import Job

    mirrors = users_mirrors(console)
    jobs = []
    for url in urls:
        name = file_name_of(url)
        if not name:
            raise BadAddress(url[:300], "it has no file name; fetch it alone, with -o FILE")
        jobs.append(Job(wanted_file(name, (url,), None, mirrors), folder / name))
    return jobs


def _from_list(console: Console, file: str, folder: Path) -> list[Job]:
    from zoo_cli.transfer.batch import Job
    from zoo_cli.transfer.lists import read_list

    mirrors = users_mirrors(console)
    return [
        Job(wanted_file(str(line.path), line.urls, line.sha256, mirrors), folder / line.path)
        for line in read_list(file)
    ]


def _many(console: Console, work: list[Job], settings: Settings, jobs: int, events: bool, existing: _Existing) -> int:
    """Fetches all; the worst exit code of them."""
    from zoo_cli.cli.messages import message_for
    from zoo_cli.cli.progress import ManyProgress, Progress
    from zoo_cli.transfer.batch import fetch_many

    files: list[dict[str, object]] = []  # for the document; without one nothing is kept of those that came
    tells_all = console.json or events
    done = failed = worst = 0
    codes = set[str]()
    with Progress(console) as progress:
        many = ManyProgress(progress, len(work))
        listen = _listener(console, many, events)
        for outcome in fetch_many(work, settings, listen, store=users_store(), at_once=jobs, **existing):
            shown, done = outcome.job.destination, done + 1
            if outcome.received is not None:
                if tells_all:
                    files.append({"ok": True, **_document(outcome.received, shown)})
                else:
                    progress.answer(str(shown))
            elif outcome.error is not None:
                error, what = outcome.error, message_for(outcome.error).what
                failed, worst = failed + 1, max(worst, error.exit_code)
                codes.add(error.code)
                files.append({"ok": False, "path": str(shown), "error": {"code": error.code, "what": what,
                                                                         "facts": error.fields()}})  # fmt: skip
                if not console.json:
                    progress.step(f"{shown}: {error.code}: {what}", warn=True)
                many.done(outcome.job.wanted.name)
    if tells_all:
        console.document({"ok": not failed, "command": "fetch", "files": files})
    if not console.json:
        if DestinationExists.code in codes:
            console.say("Those that are there: --skip-existing lets unknown ones count, --force replaces them.")
        several, are = ("1 file", "is") if done == 1 else (f"{done} files", "are")
        console.say(f"{done - failed} of {several} {are} here." if failed else f"{several}.")
    return worst


def _progress(console: Console) -> AbstractContextManager[Listener]:
    """What shows events; quietly nothing is imported for it."""
    if console.quiet:
        return nullcontext(nothing)
    from zoo_cli.cli.progress import Progress

    return Progress(console)


def _listener(console: Console, progress: Listener, events: bool) -> Listener:
    """The progress, and with --events a line for each event besides."""
    if not events:
        return progress

    def hear(event: Event) -> None:
        console.document({"event": type(event).__name__.lower(), **event._asdict()})
        console.finish()
        progress(event)

    return hear


def _document(received: Received, shown: Path) -> dict[str, object]:
    return {
        "path": str(shown),
        "size_bytes": received.size_bytes,
        "sha256": received.sha256,
        "evidence": received.evidence,
        "url": received.url,
        "already_here": received.already_here,
        "from_cache": received.from_cache,
    }
