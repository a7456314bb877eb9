"""A download as lines and as a document: what it means, what it will cost, what came and what did not.

Pure but for the console it writes to.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_cli.catalog.models import Model
from zoo_cli.cli.text import human_bytes
from zoo_cli.models.config_findings import imports_of
from zoo_cli.models.flatten import wheel_of
from zoo_cli.models.modelfile import addresses_of
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo_cli.cli.console import Console
    from zoo_cli.models.bundling import Unpacked
    from zoo_cli.models.caches import Linked
    from zoo_cli.models.download import PickFailed, PickReceipt, Receipt
    from zoo_cli.models.modelfile import ReceivedFile
    from zoo_cli.models.outlook import Outlook
    from zoo_cli.models.receipts import Receipt as Kept
    from zoo_cli.models.selection import Pick, Selection
    from zoo_cli.transfer.sources import Mirrors


def introduction(pick: Pick) -> str:
    """One line on a pick: what it is, and what it is called today when it was asked by another name."""
    subject = pick.subject
    if not isinstance(subject, Model):
        trained = f", trained on {subject.trained_on}" if subject.trained_on else ""
        return f"{pick.asked_as}: backbone{trained}"
    known = f" ({subject.name} in {subject.project} {subject.release.version})" if pick.asked_as != subject.name else ""
    return f"{pick.asked_as}{known}: {_about(subject)}"


def _about(model: Model) -> str:
    """What a model is, in a few words: RTMDet on COCO, box AP 51.3."""
    metric = next((each for each in model.metrics if each.value is not None), None)
    about = model.collection or model.project
    if metric is None:
        return about
    dataset = f" on {metric.dataset}" if metric.dataset else ""
    return f"{about}{dataset}, {metric.label} {metric.value:g}"


def shown(dest: Path, place: str) -> str:
    """The path as the user would write it: beside here with a leading ./, so that it is never an option."""
    return f"./{place}" if dest == Path() else str(dest / place)


# -- before ----------------------------------------------------------------------------------------------------------


def show_list(console: Console, selection: Selection) -> None:
    """Which models and files a command means, from the index alone."""
    rows: list[tuple[str, ...]] = [
        (pick.asked_as, _package(pick), kind, name)
        for pick in selection.picks
        for kind, name, _upstream in _parts(pick)
    ]
    if console.json:
        models = [
            {
                "name": pick.name, "asked_as": pick.asked_as, "package": _package(pick),
                "files": [
                    {"kind": kind, "path": pick.place(name), "upstream": upstream}
                    for kind, name, upstream in _parts(pick)
                ],
            }
            for pick in selection.picks
        ]  # fmt: skip
        passed = [{"name": each.name, "lacks": each.part} for each in selection.passed]
        console.document({"ok": True, "command": "download", "list": True, "models": models, "passed_over": passed})
        return
    if console.quiet:
        for pick in selection.picks:
            console.data(pick.asked_as)
    else:
        console.table(("model", "package", "kind", "file"), rows)
    tell_passed(console, selection)
    console.say(f"{counted(len(selection.picks), 'model')}, {counted(len({row[3] for row in rows}), 'file')}.")


def _parts(pick: Pick) -> Iterator[tuple[str, str, str]]:
    """Kind, name and upstream place of each file of a pick."""
    if pick.config_name and pick.model:
        yield "config", pick.config_name, f"{pick.model.release.wheel_name}: {pick.model.config_path}"
    for file in pick.files:
        yield file.role, file.name, file.urls[0]


def _package(pick: Pick) -> str:
    return f"{pick.model.project} {pick.model.release.version}" if pick.model else ""


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 file, 2 files."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def tell_passed(console: Console, selection: Selection) -> None:
    """One line for models that were found and have nothing of what was asked."""
    if selection.passed:
        names = ", ".join(printable(each.name) for each in selection.passed[:5])
        more = f" and {len(selection.passed) - 5} more" if len(selection.passed) > 5 else ""
        console.say(f"note: upstream publishes no {selection.passed[0].part} of {names}{more}")


def show_plan(console: Console, selection: Selection, outlook: Outlook, mirrors: Mirrors) -> None:
    """What would be fetched: from where, to where, how large, and whether there is room for it."""
    rows: dict[str, tuple[str, str, str, tuple[str, ...], int | None]] = {}
    for pick in selection.picks:
        if pick.config_name and pick.model:
            wheel, path = wheel_of(pick.model.release, mirrors), pick.place(pick.config_name)
            what = f"{wheel.name}: {pick.model.config_path}"
            rows[path] = ("config", shown(outlook.destination, path), what, wheel.urls, None)
        for file in pick.files:
            path, size = pick.place(file.name), outlook.sizes[pick.place(file.name)]
            what = human_bytes(size)
            rows[path] = (file.role, shown(outlook.destination, path), what, addresses_of(file, mirrors), size)
    if console.json:
        files = [
            {"kind": kind, "path": path, "urls": list(urls), "size_bytes": size}
            for kind, path, _what, urls, size in rows.values()
        ]
        sums = {"total_bytes": outlook.total, "to_fetch_bytes": outlook.to_fetch, "sizes_unknown": outlook.unknown}
        document = {"ok": outlook.fits, "command": "download", "dry_run": True, "files": files, **sums}
        console.document({**document, "free_bytes": outlook.free})
        return
    console.table(
        ("kind", "path", "what", "from"), [(kind, path, what, urls[0]) for kind, path, what, urls, _ in rows.values()]
    )
    tell_passed(console, selection)
    console.say(f"Would fetch {counted(len(rows), 'file')}: {total_text(outlook)}.")


def total_text(outlook: Outlook) -> str:
    """How much there is to fetch, and how much room: 1.2 GB, 300 MB of it here; 41 GB free."""
    total = human_bytes(outlook.total)
    if outlook.unknown:
        of = f"{outlook.unknown} of unknown size"
        total = of if outlook.unknown == len(outlook.sizes) else f"{total} and {of}"
    here = outlook.total - outlook.to_fetch
    return f"{total}{f', {human_bytes(here)} of it here' if here else ''}; {human_bytes(outlook.free)} free"


# -- after -----------------------------------------------------------------------------------------------------------


def tell(console: Console, receipt: Receipt, dest: Path, links: dict[str, tuple[Linked, ...]]) -> None:
    """The paths of what came on stdout; what did not come, one line each, and what to do about it."""
    if console.json:
        console.document(document_of(receipt, dest, links))
        return
    for each in receipt.models:
        if each.config and each.pick.model and not each.pick.model.files:
            console.say(f"  {printable(each.pick.asked_as)}: upstream publishes no checkpoint of it")
    for place in dict.fromkeys(place for each in receipt.models for place in each.pick.places):
        console.data(shown(dest, place))
    for link in (link for found in links.values() for link in found):
        if link.state == "taken":
            console.warn(f"{link.path} is another file and was left as it is")
    if receipt.failures:
        tell_failures(console, receipt.failures, len(receipt.models))


def tell_failures(console: Console, failures: Sequence[PickFailed], came: int) -> None:
    """Each model that did not come with its reason, and the command that tries those again."""
    from zoo_cli.cli.messages import message_for

    for failure in failures:
        message = message_for(failure.error)
        mark = console.paint("FAIL", "red")
        what = f"{printable(failure.pick.asked_as)}: {printable(message.what)} [{failure.error.code}]"
        console.complain(f"{mark}  {what}")
        for fact in message.facts[:3]:
            console.complain(f"      {printable(fact)}")
    console.complain(f"\n{came} of {counted(came + len(failures), 'model')} came, {len(failures)} did not.")


def document_of(receipt: Receipt, dest: Path, links: dict[str, tuple[Linked, ...]]) -> dict[str, object]:
    """The document of a download."""
    from zoo_cli.cli.messages import message_for

    failures = [
        {"name": each.pick.name, "asked_as": each.pick.asked_as, "code": each.error.code,
         "what": message_for(each.error).what, "facts": each.error.fields()}
        for each in receipt.failures
    ]  # fmt: skip
    models = [_document(each, dest, links) for each in receipt.models]
    return {"ok": not failures, "command": "download", "models": models, "failures": failures}


def _document(receipt: PickReceipt, dest: Path, links: dict[str, tuple[Linked, ...]]) -> dict[str, object]:
    pick, config = receipt.pick, receipt.config
    files = list(zip(pick.files, receipt.files, strict=True))

    def listed(role: str) -> list[dict[str, object]]:
        return [
            _file(shown(dest, pick.place(file.name)), received, links.get(str(received.path), ()))
            for file, received in files
            if file.role == role
        ]

    return {
        "name": pick.name,
        "asked_as": pick.asked_as,
        "package": pick.model.project if pick.model else None,
        "release": pick.model.release.version if pick.model else None,
        "config": config
        and {
            "path": shown(dest, pick.places[0]),
            "files": list(config.flat.files),
            "imports": list(imports_of(config.flat)),
            "evidence": config.evidence,
            "already_here": config.already_here,
        },
        "checkpoints": listed("checkpoint"),
        "logs": listed("log"),
    }


def _file(path: str, received: ReceivedFile, links: tuple[Linked, ...]) -> dict[str, object]:
    return {
        "path": path,
        "size_bytes": received.size_bytes,
        "sha256": received.sha256,
        "evidence": received.evidence,
        **({"signer": received.signed.root, "verified": received.signed.updated} if received.signed else {}),
        "url": received.url,
        "already_here": received.already_here,
        "from_cache": received.from_cache,
        **({"scan": received.verdict.document()} if received.verdict else {}),
        **({"links": [str(link.path) for link in links if link.state != "taken"]} if links else {}),
    }


# -- bundles ---------------------------------------------------------------------------------------------------------


def show_bundle(console: Console, bundle: Path, models: Sequence[Kept]) -> None:
    """The models of a bundle and their files."""
    if console.json:
        listed = [
            {
                "name": each.name, "asked_as": each.asked_as, "package": each.package, "release": each.release,
                "files": [asdict(file) for file in each.files],
            }
            for each in models
        ]  # fmt: skip
        console.document({"ok": True, "command": "download", "list": True, "bundle": str(bundle), "models": listed})
        return
    rows: list[tuple[str, ...]] = [
        (each.asked_as, f"{each.package} {each.release}" if each.package else "", file.role, file.path,
         human_bytes(file.size_bytes))
        for each in models
        for file in each.files
    ]  # fmt: skip
    console.table(("model", "package", "kind", "file", "size"), rows)
    console.say(f"{counted(len(models), 'model')}, {counted(len({row[3] for row in rows}), 'file')}.")


def tell_unpacked(console: Console, unpacked: Sequence[Unpacked], dest: Path) -> None:
    """What came out of a bundle: the paths on stdout."""
    if console.json:
        models = [
            {
                "name": each.receipt.name, "asked_as": each.receipt.asked_as, "package": each.receipt.package,
                "release": each.receipt.release,
                "files": [
                    {**asdict(file), "path": shown(dest, place)}
                    for file, place in zip(each.receipt.files, each.places, strict=True)
                ],
            }
            for each in unpacked
        ]  # fmt: skip
        console.document({"ok": True, "command": "download", "from_bundle": True, "models": models})
        return
    for place in dict.fromkeys(place for each in unpacked for place in each.places):
        console.data(shown(dest, place))
