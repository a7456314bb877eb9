"""`zoo index propose`: wheels are looked into, and what their files show becomes rows for index/compat."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.releases import index_directory
from zoo_cli.errors import ExitCode
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from zoo_cli.catalog.compiler.proposals import Amended, Proposal
    from zoo_cli.cli.console import Console
    from zoo_cli.packages.findlinks import Link
    from zoo_cli.packages.propose import NotProposed, Told
    from zoo_cli.transfer.settings import Settings
    from zoo_cli.trust.wheelreport import WheelReport


@click.command("propose", epilog="Example: zoo index propose https://example.org/mmcv-2.1.0+...whl --write")
@click.argument("places", nargs=-1, required=True, metavar="PLACE...")
@click.option("--at", "address", metavar="URL", help="Where the wheel is published, when PLACE is a copy of it here.")
@click.option("--torch", metavar="VERSION", help="The torch it is for, where neither name nor page tells: 2.1.")
@click.option("--cuda", "variant", metavar="VARIANT", help="The variant, likewise: cu121 or cpu.")
@click.option("--provider", metavar="NAME", help="Who publishes it, where the address does not tell.")
@click.option("--mirror", "mirrors", multiple=True, metavar="FROM=TO", help="Read there what is published here.")
@click.option("--index", "directory", type=click.Path(path_type=Path, file_okay=False), help="The index directory.")
@click.option("--write", is_flag=True, help="Put the rows into the index; else they are printed.")
@common_options
@pass_console
def propose_command(
    console: Console,
    places: tuple[str, ...],
    address: str | None,
    torch: str | None,
    variant: str | None,
    provider: str | None,
    mirrors: tuple[str, ...],
    directory: Path | None,
    write: bool,
) -> None:
    """Turn what wheels really are into rows of the index: code targets, glibc, CUDA, C++ ABI, digest.

    PLACE is a wheel, the address of one (read by ranges), or a page or directory of wheels. The compiler takes every
    row that is printed. Exit code 1 when a wheel gives none.
    """
    from zoo_cli.catalog.compiler.proposals import Proposal, amend
    from zoo_cli.catalog.compiler.proposals import write as write_files
    from zoo_cli.packages.propose import Told

    index = index_directory(directory)
    told = Told(torch, variant, provider)
    found = [_propose(console, each, told) for each in _links(console, places, address, mirrors)]
    proposals = [each for each in found if isinstance(each, Proposal)]
    amended = amend(index, proposals)
    if write:
        write_files(index, amended)
    refused = [each for each in found if not isinstance(each, Proposal)]
    _tell(console, proposals, refused, amended, written=write)
    if refused:
        raise click.exceptions.Exit(ExitCode.FAILED)


class Here(NamedTuple):
    """A wheel as it is published, and the address it is read at."""

    link: Link
    read_at: str


def _links(console: Console, places: tuple[str, ...], address: str | None, mirrors: tuple[str, ...]) -> list[Here]:
    """The wheels at the places; one that is here and published elsewhere has its public address."""
    from zoo_cli.cli.sources import users_mirrors
    from zoo_cli.packages.pages import read_listing

    known = users_mirrors(console, mirrors)
    found: list[Here] = []
    for place in places:
        at = known.addresses(place, "wheels")[0] if mirrors and place.startswith("http") else place
        listing = read_listing((at,), _settings(console))
        if listing.skipped:
            raise listing.skipped[0].error
        wheels = [link for link in listing.links if link.filename.endswith(".whl") and link.yanked is None]
        if not wheels:
            raise click.UsageError(f"There is no wheel at {printable(place)}.")
        found += [Here(_published(link, place, at), link.url) for link in wheels]
    if address and len(found) != 1:
        raise click.UsageError(f"--at is the address of one wheel; here are {len(found)}.")
    if address:
        page = address.rpartition("/")[0] + "/"
        return [each._replace(link=each.link._replace(url=address, page=page)) for each in found]
    return found


def _published(link: Link, place: str, at: str) -> Link:
    """A link read at a mirror of a page, with the addresses of the page itself."""
    pairs = enumerate(zip(reversed(place), reversed(at), strict=False))
    same = next((number for number, (ours, theirs) in pairs if ours != theirs), 0)
    start, other = place[: len(place) - same], at[: len(at) - same]
    if place == at or not link.url.startswith(other):
        return link
    return link._replace(url=start + link.url.removeprefix(other), page=place)


def _propose(console: Console, here: Here, told: Told) -> Proposal | NotProposed:
    """The fact that one wheel gives."""
    from zoo_cli.catalog.compat import projects, providers
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.packages.propose import propose

    report = _report_of(console, here)
    catalog = open_catalog()
    return propose(here.link, report, projects(catalog), providers(catalog).values(), told, console.today())


def _report_of(console: Console, here: Here) -> WheelReport:
    """What a wheel is: one here is read whole, one elsewhere by ranges."""
    from zoo_cli.transfer.addresses import local_path
    from zoo_cli.transfer.remote import RemoteFile
    from zoo_cli.trust.wheel import inspect_wheel, look_into

    path = local_path(here.read_at)
    if path is not None:
        return inspect_wheel(Path(path))
    with RemoteFile(here.read_at, _settings(console)) as remote:
        return look_into(here.link.filename, io.BufferedReader(remote))


def _settings(console: Console) -> Settings:
    from zoo_cli.transfer.health import users_health
    from zoo_cli.transfer.settings import Settings

    return Settings(offline=console.offline, health=users_health(console.environ))


def _tell(
    console: Console, proposals: list[Proposal], refused: list[NotProposed], amended: list[Amended], *, written: bool
) -> None:
    if console.json:
        console.document(
            {
                "ok": not refused,
                "command": "index propose",
                "written": written,
                "proposals": [{**each._asdict(), "row": each.row} for each in proposals],
                "files": [{"name": each.name, "new": each.is_new} for each in amended],
                "refused": [asdict(each) for each in refused],
            }
        )
        return
    for proposal in proposals:
        console.data(proposal.row.rstrip())
    for each in refused:
        console.warn(printable(f"{each.file} gives no row: {each.code}: {each.detail}"))
    for file in amended:
        where = "Put into" if written else "Belongs into"
        console.say(f"{where} index/{file.name}{', a new file' if file.is_new else ''}; the compiler takes it.")
