"""Sentences for the errors of `zoo_cli.models`: configs, downloads, releases."""

from __future__ import annotations

import shlex

from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.cli.messages.transfer import same_command
from zoo_cli.cli.text import human_bytes
from zoo_cli.models.build import NoModelIndex
from zoo_cli.models.bundling import NotInBundle
from zoo_cli.models.config_errors import (
    BaseCycle,
    BaseMissing,
    BaseOutside,
    BrokenConfig,
    CannotEvaluate,
    ConfigError,
    ConfigTooLarge,
    OtherPackage,
)
from zoo_cli.models.convert import ConversionFailed
from zoo_cli.models.figures import BadExpectation
from zoo_cli.models.indexfiles import CannotKeepIndex
from zoo_cli.models.keeping import NoReceipt
from zoo_cli.models.localconfigs import NoConfigFile
from zoo_cli.models.modelfile import CheckpointChanged, SourcesDisagree, Unverified
from zoo_cli.models.outlook import VeryLarge
from zoo_cli.models.own import OtherCheckpoint, UnreadableFile
from zoo_cli.models.receipts import BadReceipt
from zoo_cli.models.release import BadWheel
from zoo_cli.models.selection import NothingMatches, NothingToFetch, NotInRelease, NotNarrowed, SameDestination
from zoo_cli.models.upstream import BadRelease, NoRelease
from zoo_cli.models.writer import CannotWrite


@describe.register
def other_checkpoint(error: OtherCheckpoint) -> Message:
    """A file of one's own is not the one its name says."""
    facts = (f"file    {error.path}", f"name    begins with {error.prefix}", f"sha256  {error.sha256}")
    way = WayOut("Take the file that the metafile means, or name it by its own first 8 digits there")
    return Message("a checkpoint is not the one whose digits its name carries; nothing was written", facts, (way,))


@describe.register
def unreadable_file(error: UnreadableFile) -> Message:
    """A file of one's own that is none of the kind."""
    ways = (WayOut("Give a wheel, as it was built", "zoo index read --help"),)
    return Message(f"cannot read {error.path}", (error.problem,), ways)


# -- configs ---------------------------------------------------------------------------------------------------------

_WITHOUT_CONFIG = "Fetch the checkpoint alone"


def _place(error: ConfigError) -> str:
    return f"{error.file}, line {error.line}" if error.line else error.file


def _without_config() -> tuple[WayOut, ...]:
    """The way on for who downloads a model; for who reads a config there is none without it."""
    command = same_command("--weights-only")
    return () if command.startswith(("zoo config ", "zoo diff ")) else (WayOut(_WITHOUT_CONFIG, command),)


@describe.register
def cannot_evaluate(error: CannotEvaluate) -> Message:
    """A construct would need code to run."""
    facts = (f"place  {_place(error)}", f"found  {error.construct}", "zoo reads configs and never runs them")
    return Message("the config cannot be flattened without running code", facts, _without_config())


@describe.register
def broken_config(error: BrokenConfig) -> Message:
    """The config is wrong in itself."""
    facts = (f"place   {_place(error)}", f"reason  {error.reason}", "mmengine refuses such a config, too")
    return Message("the config is broken as upstream published it", facts, _without_config())


@describe.register
def config_too_large(error: ConfigTooLarge) -> Message:
    """A limit is reached."""
    limit = f"more than {error.limit:,} {error.what}" if error.limit else f"too great a {error.what}"
    return Message("the config is larger than any real one", (f"place  {_place(error)}", limit), _without_config())


@describe.register
def base_missing(error: BaseMissing) -> Message:
    """A file of the chain is not there."""
    facts = (f"missing   {error.base}", f"asked by  {_place(error)}")
    return Message("a file that the config needs is not in the release", facts, _without_config())


@describe.register
def base_outside(error: BaseOutside) -> Message:
    """A base that leads elsewhere."""
    facts = (f"place  {_place(error)}", f"base   {error.base}")
    ways = _without_config() or (WayOut("For files of your own: name the folder that holds them all with --root"),)
    return Message("the config names a base outside its release or root", facts, ways)


@describe.register
def no_config_file(error: NoConfigFile) -> Message:
    """The file is not there."""
    ways = (WayOut("Models and their configs", "zoo list"),)
    return Message(f"there is no config {error.path}", (error.reason,), ways)


@describe.register
def base_cycle(error: BaseCycle) -> Message:
    """Bases in a circle."""
    return Message("the config's bases go in a circle", (" -> ".join(error.chain),), _without_config())


@describe.register
def other_package(error: OtherPackage) -> Message:
    """A base of a package that is not at hand."""
    facts = (f"place    {_place(error)}", f"package  {error.package}", f"base     {error.base}")
    return Message(f"the config is built on one of {error.package}, which zoo's index lacks", facts, _without_config())


@describe.register
def cannot_write(error: CannotWrite) -> Message:
    """Settings without a form as a file."""
    facts = (f"key     {error.key}", f"reason  {error.reason}")
    return Message("the flattened config cannot be written as a file", facts, _without_config())


# -- downloads -------------------------------------------------------------------------------------------------------


@describe.register
def bad_wheel(error: BadWheel) -> Message:
    """A release's wheel is damaged."""
    facts = (f"wheel    {error.wheel}", *((f"file     {error.member}",) if error.member else ()), error.problem)
    ways = (WayOut("Try again", same_command()), *_without_config())
    return Message("the release's wheel is damaged, or not what the index says", facts, ways)


@describe.register
def nothing_to_fetch(error: NothingToFetch) -> Message:
    """The model has no such part."""
    what = f"upstream publishes no {error.part} of {error.model}"
    if "://" in error.model:
        return Message(what, (), (WayOut("Backbones with an address", "zoo list --backbones"),))
    ways = (WayOut("Models of it that have one", f"zoo list {shlex.quote(error.package)}"),)
    return Message(what, (), ways)


@describe.register
def nothing_matches(error: NothingMatches) -> Message:
    """A glob or filter that finds nothing."""
    scope = [error.package] if error.package else []
    facts = tuple(
        f"{name}  {value}"
        for name, value in (("package", error.package), ("name   ", error.name), ("filter ", error.filter))
        if value
    )
    if error.name and "://" in error.name:
        return Message("no backbone matches", facts, (WayOut("All backbones", "zoo list --backbones"),))
    if error.filter:
        named = ["--name", error.name] if error.name else []
        why = shlex.join(["zoo", "list", *scope, *named, "--filter", error.filter])
        return Message("no model matches", facts, (WayOut("What is near", why), WayOut("Filters", "zoo help filters")))
    return Message("no model matches", facts, (WayOut("All models", shlex.join(["zoo", "list", *scope])),))


@describe.register
def not_narrowed(error: NotNarrowed) -> Message:
    """A word beside --filter that narrows nothing."""
    facts = ("beside --filter there are packages (mmdet) and globs ('rtmdet*')",)
    like = shlex.join(["zoo", "download", error.asked, "--dest", "."])
    return Message(f"{error.asked} is neither a package nor a glob", facts, (WayOut("This model alone", like),))


@describe.register
def very_large(error: VeryLarge) -> Message:
    """More than is fetched unasked."""
    facts = (f"{error.files:,} files; more than {human_bytes(error.limit_bytes)} is not fetched without being asked",)
    ways = (WayOut("Look at them", same_command("--dry-run")), WayOut("Fetch them", same_command("--yes")))
    return Message(f"this would fetch {human_bytes(error.size_bytes)}", facts, ways)


@describe.register
def not_in_release(error: NotInRelease) -> Message:
    """Another release has it."""
    ways = tuple(
        WayOut(f"From {version}", shlex.join(["zoo", "download", error.asked, "--release", version, "--dest", "."]))
        for version in error.releases[:3]
    )
    return Message(f"{error.package} {error.release} has no model {error.asked}", (), ways)


@describe.register
def same_destination(error: SameDestination) -> Message:
    """Two files, one name."""
    ways = [
        WayOut(f"Into a directory of its own: {asked}", shlex.join(["zoo", "download", asked, "--dest", f"./{asked}"]))
        for asked in dict.fromkeys(error.asked)
    ]
    if error.is_flat and len(set(error.asked)) > 1:
        ways.insert(0, WayOut("A directory for each model", same_command("--layout", "by-model")))
    return Message(f"two different files would be called {error.name}", (), tuple(ways))


@describe.register
def checkpoint_changed(error: CheckpointChanged) -> Message:
    """Other bytes than the first time."""
    facts = (
        f"file      {error.file}",
        f"address   {error.url}",
        f"first     sha256 {error.expected}",
        f"now       sha256 {error.received}",
        f"the first digest stands in {error.record}",
    )
    ways = (
        WayOut("Do not load the new file: checkpoints can run code. Ask upstream whether they replaced it"),
        WayOut("If they did, forget the first digest", f"sed -i /{error.expected}/d {shlex.quote(error.record)}"),
    )
    return Message("upstream sends another file than the first time, under the same name", facts, ways)


# -- receipts --------------------------------------------------------------------------------------------------------


@describe.register
def no_receipt(error: NoReceipt) -> Message:
    """Nothing to compare with."""
    directory = shlex.quote(error.directory)
    ways = (
        WayOut("What has receipts there", f"find {directory} -name '*.zoo.json'"),
        WayOut("Make one: the same download again costs no bytes for files that are right"),
    )
    return Message(f"no receipt of {error.asked} is in {error.directory}", (), ways)


@describe.register
def bad_receipt(error: BadReceipt) -> Message:
    """A receipt that is none."""
    ways = (
        WayOut("Download that model again: what is right stays, and the receipt is written anew once this is away"),
        WayOut("Put it away", shlex.join(["mv", error.path, f"{error.path}.old"])),
    )
    return Message("a receipt cannot be read", (f"receipt  {error.path}", f"reason   {error.problem}"), ways)


@describe.register
def not_in_bundle(error: NotInBundle) -> Message:
    """Another model than the bundle has."""
    there = shlex.quote(error.bundle)
    facts = (f"bundle  {error.bundle}", f"has     {', '.join(error.models[:5])}{' ...' if error.models[5:] else ''}")
    ways = (WayOut("All that it has", f"zoo download --from-bundle {there} --list"),)
    return Message(f"the bundle has no model {error.asked}", facts, ways)


# -- the index -------------------------------------------------------------------------------------------------------


@describe.register
def _no_release(error: NoRelease) -> Message:
    facts = (f"asked {error.page}", f"newest there: {', '.join(error.versions) or 'nothing that holds configs'}")
    ways = tuple(WayOut(f"Build {each}", f"zoo index build {error.project}=={each}") for each in error.versions[:2])
    return Message(f"{error.project} has no release {error.version} that holds configs", facts, ways)


@describe.register
def _bad_release(error: BadRelease) -> Message:
    ways = (WayOut("Once more, without mirrors", f"zoo index build {error.project}=={error.version}"),)
    return Message(f"cannot read {error.what} of {error.project} {error.version}", (error.problem,), ways)


@describe.register
def _no_model_index(error: NoModelIndex) -> Message:
    ways = (WayOut("Look into its file", f"pip download --no-deps {error.project}=={error.version}"),)
    what = f"{error.project} {error.version} has no index of models"
    return Message(what, (f"{error.file}: {error.problem}",), ways)


@describe.register
def _cannot_keep_index(error: CannotKeepIndex) -> Message:
    ways = (WayOut("Who may write there", f"ls -ld {shlex.quote(error.path.rpartition('/')[0] or '.')}"),)
    return Message("the index directory cannot be read or written", (error.path, error.problem), ways)


@describe.register
def _bad_expectation(error: BadExpectation) -> Message:
    ways = (WayOut("With the figures of the index", "zoo index verify"),)
    return Message("the file of expected figures cannot be used", (error.path, error.problem), ways)


# -- converting ------------------------------------------------------------------------------------------------------

_NOT_CONVERTED = {
    "no-torch": "the interpreter has no torch to read it with",
    "no-child": "the interpreter cannot be started",
    "no-tensors": "no tensors were found in it",
    "odd-tensor": "it has tensors that safetensors cannot hold",
    "not-loaded": "torch does not load it with weights_only=True",
    "timeout": "reading it took too long",
    "bad-output": "what was written is no safetensors file",
}


@describe.register
def conversion_failed(error: ConversionFailed) -> Message:
    """No safetensors file was made."""
    ways: tuple[WayOut, ...] = ()
    if error.reason in ("no-torch", "no-child", "not-loaded"):
        ways = (WayOut("Name an interpreter with torch 2.6 or newer", same_command("--python", "env/bin/python")),)
    if error.reason == "no-tensors":
        ways = (WayOut("Name the key that holds them", same_command("--part", "state_dict")),)
    facts = (*error.details, f"python  {error.python}")
    return Message(f"{error.file} was not converted: {_NOT_CONVERTED[error.reason]}", facts, ways)


@describe.register
def unverified(error: Unverified) -> Message:
    """The level none."""
    why = ("asked of a second host, as --cross-check wants: there is none",) if error.second_host else ()
    ways = [WayOut("Take it as it comes; from then on it must stay the same", same_command("--allow-unverified"))]
    checked = same_command("--cross-check")
    if not error.second_host and checked.startswith("zoo download "):  # others have no such option
        ways.insert(0, WayOut("Take it if two hosts send the same", checked))
    return Message(
        f"nothing is known that {error.file} could be compared with: no digest in the index, no digits in its name",
        (
            f"address  {error.url}",
            *why,
            "whoever sends it could send anything; it comes with --allow-unverified, and is scanned for code",
        ),
        tuple(ways),
    )


@describe.register
def sources_disagree(error: SourcesDisagree) -> Message:
    """Two operators, two files."""
    kept = (f"kept      {error.quarantine}, where nothing loads it",) if error.quarantine else ()
    facts = (
        f"from      {error.one}",
        f"          sha256 {error.sha256}",
        f"from      {error.other}",
        f"          sha256 {error.other_sha256}",
        *kept,
    )
    ways = (
        WayOut("One of them is damaged, older, or was replaced: ask upstream which is theirs, and load neither"),
        WayOut("See which hosts are asked, in which order", "zoo mirror"),
    )
    return Message(f"two hosts send different files as {error.file}", facts, ways)
