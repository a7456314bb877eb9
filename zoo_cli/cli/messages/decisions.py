"""Sentences for what `zoo install` and `zoo check-env` decide: unknown projects, no solution, consent, broken ops."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator

from zoo_cli.catalog.compat import OpsWheels
from zoo_cli.cli.findings_view import seen_as, sentence
from zoo_cli.cli.messages import Message, WayOut, describe
from zoo_cli.packages.arrivals import WheelUnfit
from zoo_cli.packages.binding import NotAtSource, UnplannedProject
from zoo_cli.packages.explain import NoSolution, Way
from zoo_cli.packages.install import ExternallyManaged, NeedsConsent, NotWritable, OpsBroken, RunsCode
from zoo_cli.packages.reasons import Reason
from zoo_cli.packages.request import BadRequirement, UnknownChoice, UnknownProject
from zoo_cli.packages.requirements import UnreadableRequirements
from zoo_cli.packages.smoke import Check
from zoo_cli.packages.supply import WheelGone
from zoo_cli.packages.wheelless import NoWheel


@describe.register
def unknown_project(error: UnknownProject) -> Message:
    """A project that the index does not know."""
    if error.called:
        what = f"no project is named {error.name}; its package is called {error.called}"
        return Message(what, (), (WayOut("Install it", f"zoo install {error.called}"),))
    near = tuple(f"near: {name}" for name in error.near)
    ways = tuple(WayOut(f"Install {name}", f"zoo install {name}") for name in error.near[:1])
    return Message(
        f"no project is named {error.name}",
        near,
        (*ways, WayOut("An ordinary package", f"pip install {shlex.quote(error.name)}")),
    )


@describe.register
def bad_requirement(error: BadRequirement) -> Message:
    """A requirement that cannot be read."""
    return Message(
        f"cannot read the requirement {error.text}",
        (error.reason,),
        (WayOut("Write it so", "zoo install 'mmdet>=3,<3.3'"),),
    )


@describe.register
def unreadable_requirements(error: UnreadableRequirements) -> Message:
    """A requirements file that cannot be read."""
    return Message(
        f"cannot read the requirements file {error.path}",
        (error.reason,),
        (WayOut("Name the packages themselves", "zoo install 'mmdet>=3,<3.3'"),),
    )


@describe.register
def unknown_choice(error: UnknownChoice) -> Message:
    """An option, or a variable of the environment, whose value does not exist."""
    known = ", ".join(error.known) or "none here"
    is_option, first = error.option.startswith("-"), error.known[0] if error.known else ""
    given = f"{error.option}{' ' if is_option else '='}{error.given}"
    example = f"zoo install mmdet {error.option} {first}" if is_option else f"{error.option}={first} zoo install mmdet"
    ways: tuple[WayOut, ...] = (WayOut("For example", example),) if first else ()
    if error.option == "--build":
        ways += (WayOut("An ordinary package, by its version", f"zoo install mmpose --build {error.given}==VERSION"),)
    return Message(f"{given}: there is no such thing", (f"known: {known}",), ways)


@describe.register
def no_solution(error: NoSolution) -> Message:
    """Nothing fits: at most three facts, one "so", the ways out."""
    refused = tuple(f"refused: {sentence(finding)}" for finding in error.refused)
    facts = [fact(reason) for reason in error.reasons]
    so = _so(error)
    ways = tuple(_way(_typed(error), number, way) for number, way in enumerate(error.ways, 1))
    ways += tuple(_any_version(error, reason) for reason in error.reasons if reason.group == "asked")
    ways += tuple(_by_hand(error))
    last = WayOut("Where these facts come from", _command(_typed(error), ("--dry-run", "-v")))
    return Message(
        f"no set of versions fits {' '.join(error.words)} on this machine",
        (*refused, *facts[:3], *([f"so: {so}"] if so else [])),
        (*ways, last),
        tuple(f"{reason.source}, read {reason.date}" for reason in error.reasons if reason.source),
    )


def _by_hand(error: NoSolution) -> Iterator[WayOut]:
    """Ways that no option of zoo opens."""
    for reason in error.reasons:
        if reason.group == "gpu-report" and reason.get("cure"):
            yield WayOut(f"By hand: {reason.get('cure')}", _command(_typed(error), ("--build", "mmcv")))
        elif reason.group in ("declared", "asserted") and not error.ways:
            typed = (word for word in error.words if re.match(re.escape(reason.get("needs")) + r"\s*[<>=!~]", word))
            for word in typed:
                span = word.removeprefix(reason.get("needs"))
                yield _any_version(error, Reason("asked", (("project", reason.get("needs")), ("range", span))))
        elif reason.group == "libc" and reason.get("kind") == "musl":
            yield WayOut("In a container with glibc", "docker run --rm -it python:3.11-slim bash")


def _any_version(error: NoSolution, reason: Reason) -> WayOut:
    """The command without any range of a project, also one that was given twice or by --torch."""
    project = reason.get("project")
    kept: list[str] = []
    words = iter(_typed(error))
    for word in words:
        if word == f"--{project}":
            next(words, None)
        elif re.match(rf"{re.escape(project)}\s*[<>=!~]", word.replace("_", "-"), re.IGNORECASE):
            kept += [project] if project not in kept else []
        elif not word.startswith(f"--{project}="):
            kept.append(word)
    return WayOut(f"With any version of {project}", shlex.join(kept))


_FACTS = {
    "asked": "{project}{range}: no such release; the newest is {newest}",
    "asserted": "{project} {version}{choice} refuses {needs} outside {range} when imported",
    "declared": "{project} {version}{choice} declares {needs} {range}",
    "gpu": "{gpu} is {target}; the oldest torch with code for it is {oldest}",
    "platform": "no torch wheels are known for {platform}",
    "keep-torch": "torch {version}+{variant} is installed and stays",
    "wheels": "official {project} wheels reach to torch {torch}, {cuda}, Python {python} ({project} {version})",
    "python": "the target is Python {version}",
    "libc": "the C library is {kind} {version}",
    "torch": "torch {asked} was asked for",
    "cuda": "{asked} was asked for",
    "installed": "installed and staying: {projects}",
    "no-wheels": "no official {project} wheels with {device} ops are known for {platform}",
    "provider": "others build for this machine ({providers}); zoo takes their wheels only when you say so",
    "gpu-report": "{gpu}: the aarch64 CUDA wheels of PyTorch are built for servers and find no GPU on a Jetson",
    "same-import": "{one} and {other} both are the import package {package} and would overwrite each other",
}


def fact(reason: Reason) -> str:
    """One reason as a sentence."""
    values = dict(reason.values)
    if reason.group == "driver":
        text = f"driver {values['driver']}"
        text += f" runs CUDA builds up to {values['runs']}" if "runs" in values else " runs none of the CUDA builds"
        return text + (f"; {values['next']} needs {values['floor']} or newer" if "next" in values else "")
    if reason.group == "keep-torch" and not values["variant"].startswith(("cu", "cpu")):
        return _FACTS["keep-torch"].format(**values) + "; nobody is known to publish compiled ops for such a build"
    if reason.group == "gpu" and "oldest" not in values:
        return f"{values['gpu']} is {values['target']}; no torch build for this system has code for it"
    return _FACTS[reason.group].format(**values)


def _so(error: NoSolution) -> str:
    groups = set(error.conflict)
    if "same-import" in groups:
        return "only one of them can be installed"
    if groups == {"libc"}:
        return "no torch wheel runs here: PyTorch publishes none for this C library"
    if any(reason.group == "gpu-report" for reason in error.reasons):
        return "no published build uses this GPU; NVIDIA's own torch for its JetPack does"
    if "wheels" in groups and "gpu" in groups:
        kind = "official" if "provider" in groups else "prebuilt"
        return f"no {kind} compiled ops exist for any torch that runs on this GPU"
    if "wheels" in groups and "keep-torch" in groups:
        return "no prebuilt compiled ops exist for the torch that is installed"
    if "wheels" in groups and "python" in groups:
        return "no prebuilt compiled ops exist for this Python"
    if "wheels" in groups:
        return "no prebuilt compiled ops fit"
    if "driver" in groups:
        return "no build that is old enough for the driver is new enough for the rest"
    return ""


def _typed(error: NoSolution) -> tuple[str, ...]:
    return error.command or ("zoo", "install", *error.words)


def _command(typed: tuple[str, ...], options: tuple[str, ...], dropped: Collection[str] = ()) -> str:
    """The command as typed with further options, and without those that a correction takes back.

    A described machine gets its other Python in the description.
    """
    words, more = list(typed), list(options)
    for option in ("--device", *dropped):
        if option in words and (option in dropped or option in more):
            at = words.index(option)
            del words[at : at + 2]
    if "torch" in dropped:
        words = [word for word in words if not re.match(r"torch\s*[<>=!~]", word)]
    pinned = [word.partition("==")[0] for word in more if re.match(r"[\w-]+==", word)]
    words = [word for word in words if re.split(r"[<>=!~ ]", word)[0] not in pinned]
    if "--replace" in words and "--replace" in more:
        at, place = more.index("--replace"), words.index("--replace") + 1
        words[place] = f"{words[place]},{more[at + 1]}"
        del more[at : at + 2]
    if "--machine" in words and "--env" in more:
        at = more.index("--env")
        version = more[at + 3]
        del more[at : at + 4]
        place = words.index("--machine") + 1
        words[place] = re.sub(r"(?<=python=)[\d.]+", version, words[place])
    return shlex.join((*words, *(word for word in more if word not in words or not word.startswith("--dry"))))


_TAKEN_BACK = {
    "torch": ("--torch", "torch"),
    "cuda": ("--cuda",),
    "next": ("--torch", "torch", "--cuda"),
}  # what was typed and a correction leaves out
_CORRECTIONS = {
    "next": "take the next wheels",
    "device": "run on the CPU",
    "python": "with Python {python}",
    "keep-torch": "replace the installed torch",
    "installed": "replace what is installed",
    "wheels": "compile {ops} from source",
    "driver": "update the NVIDIA driver to {driver} or newer",
    "torch": "with another torch than was asked for",
    "cuda": "with another CUDA than was asked for",
}


def _way(typed: tuple[str, ...], number: int, way: Way) -> WayOut:
    stack, torch = way.stack, way.stack.cell.torch
    python = stack.cell.python.removeprefix("cp")
    ops = ", ".join(f"{each.project} {each.version}" for each in stack.ops)
    texts = []
    for correction in way.corrections:
        kind, _, about = correction.partition(":")
        text = f"take wheels of {about}" if kind == "provider" else _CORRECTIONS[kind]
        texts.append(text.format(python=f"{python[0]}.{python[1:]}", ops=ops, driver=way.needs_driver or ""))
    frameworks = [f"{project} {release.version}" for project, release in sorted(stack.frameworks.items())]
    parts = [f"torch {torch.version}+{torch.variant}", *([ops] if ops else []), *frameworks]
    note = "" if all(isinstance(each, OpsWheels) for each in stack.ops) else "; nobody publishes this pair"
    needs_no_option = {"driver", "torch", "cuda"}  # what is typed is enough once something else is left out or done
    dropped = [option for each in way.corrections for option in _TAKEN_BACK.get(each, ())]
    command = _command(typed, way.options, dropped) if way.options or needs_no_option & set(way.corrections) else None
    return WayOut(f"{number}  {' and '.join(texts)}: {', '.join(parts)}{note}", command)


@describe.register
def externally_managed(error: ExternallyManaged) -> Message:
    """A Python of the operating system."""
    return Message(
        f"{error.python} belongs to the operating system and must not be changed (PEP 668)",
        (f"marked by {error.marker}",),
        (WayOut("Install into an environment of your own", _with_env(error.words)),),
    )


@describe.register
def not_writable(error: NotWritable) -> Message:
    """A site-packages that cannot be written."""
    return Message(
        f"the packages of {error.python} cannot be written",
        (f"directory  {error.site_packages}",),
        (WayOut("Install into an environment of your own", _with_env(error.words)),),
    )


def _with_env(words: tuple[str, ...]) -> str:
    kept = list(words)
    for option in ("--python", "--env"):
        if option in kept:
            at = kept.index(option)
            del kept[at : at + 2]
    return shlex.join((*kept, "--env", "./zoo-env"))


@describe.register
def needs_consent(error: NeedsConsent) -> Message:
    """A plan that replaces installed packages, and nobody to ask."""
    facts = tuple(f"{name}  {old} -> {new or 'removed'}" for name, old, new in error.changes)
    return Message(
        "the plan replaces installed packages and nobody can be asked",
        facts,
        (
            WayOut("Allow it", shlex.join((*error.words, *error.allowed_by))),
            WayOut("Leave this one alone", _with_env(error.words)),
        ),
    )


@describe.register
def runs_code(error: RunsCode) -> Message:
    """Sources whose code would run, and nobody to ask."""
    return Message(
        "building runs the code of these sources on this computer, and nobody can be asked",
        error.sources,
        (
            WayOut("Allow it, when you trust them", shlex.join((*error.words, "--allow-code"))),
            WayOut("See what would be done", shlex.join((*error.words, "--dry-run"))),
        ),
    )


_CAUSES = {
    "other-python": "{name} was built for another Python",
    "other-machine": "{name} was built for another processor",
    "other-processor": "{name} uses instructions that this processor does not have",
    "undefined-symbol": "{name} was built for another torch than the one beside it",
    "missing-operator": "{name} was built for another torch than the one beside it",
    "missing-torch": "{name} needs {about}, which the torch beside it does not have",
    "other-cuda": "{name} was built with another CUDA than torch: it needs {about}",
    "missing-library": "{name} needs {about}, a library of the system that is not installed",
    "glibc-too-old": "{name} needs {about}; the C library here is older",
    "libstdcxx-too-old": "{name} needs {about}; the C++ library here is older",
    "damaged-file": "a file of {name} is damaged",
    "numpy-abi": "{name} was compiled for another numpy",
    "no-kernel-image": "{name} has no code for this GPU",
    "ptx-too-new": "{name} has code for this GPU only as PTX of a CUDA that the driver does not know",
    "driver-too-old": "the NVIDIA driver is too old for the CUDA of this torch",
    "no-gpu": "torch does not find the GPU",
    "no-implementation": "{name} was built without CUDA",
    "out-of-memory": "there was too little memory to run {name}",
    "import-assert": "{name} refuses what it was put together with",
    "op-less": "{name} is missing: the package has no compiled ops",
    "missing-module": "{name} needs the module {about}, which is not installed",
    "not-installed": "{name} is not installed",
    "wrong-answer": "{name} gives wrong answers",
    "crash": "{name} kills the process",
    "timeout": "{name} does not come to an end",
    "exception": "{name} fails",
}
# The solver's group, as a person says it.
_GROUPS = {
    "python": "Python",
    "platform": "the processor",
    "torch": "torch",
    "cuda": "CUDA",
    "libc": "the C library",
    "gpu": "the GPU",
    "driver": "the driver",
    "device": "CPU or GPU",
    "wheels": "which wheels exist",
    "wall": "a library beside torch",
    "asserted": "a range asserted at import",
    "declared": "a declared requirement",
}


@describe.register
def ops_broken(error: OpsBroken) -> Message:
    """Installed, and the compiled ops do not work."""
    facts = [line for check in _by_cause(error.failures) for line in _failure_lines(check)]
    ways = tuple(_way(error.words, number, way) for number, way in enumerate(error.ways, 1))
    check = WayOut("What is wrong, and the way out", shlex.join(("zoo", "check-env", "--python", error.python)))
    again = WayOut("Install them all the same, to look into it", shlex.join((*error.words, "--no-rollback")))
    way = check if "--no-rollback" in error.words else again
    return Message("installed together these packages do not work", tuple(facts), (*ways, way))


def _by_cause(failures: tuple[Check, ...]) -> list[Check]:
    """The first failure of each cause, at most three."""
    first: dict[tuple[str, str], Check] = {}
    for check in failures:
        first.setdefault((check.code, check.about), check)
    return list(first.values())[:3]


def _failure_lines(check: Check) -> Iterator[str]:
    about = check.about if check.about else "something"
    what = _CAUSES[check.code].format(name=check.name, about=about)
    group = f" (constraint: {_GROUPS[check.group]})" if check.group else ""
    yield f"{what}{group}"
    yield f"  on {check.device}: {check.text}"


@describe.register
def wheel_gone(error: WheelGone) -> Message:
    """A wheel that is not on its page any more, or was taken back."""
    words = error.words or ("zoo", "install", error.project)
    taken_back = f"the wheel of {error.project} was taken back by its publisher"
    gone = f"the wheel of {error.project} is not on its page any more"
    reason = (f"reason  {error.yanked}",) if error.yanked else ()
    return Message(
        gone if error.yanked is None else taken_back,
        (f"file  {error.file}", f"page  {error.page}", *reason, f"the index read about it on {error.known_since}"),
        (
            WayOut("Take it from another place", shlex.join((*words, "--find-links", "PAGE"))),
            WayOut("What else there is", shlex.join(("zoo", "explain", *words[2:]))),
        ),
    )


@describe.register
def wheel_unfit(error: WheelUnfit) -> Message:
    """A wheel whose own files show that it cannot work here, and that no other can stand for."""
    seen = seen_as(error.finding)
    words = error.words or ("zoo", "install", error.pin.project)
    return Message(
        f"the wheel of {error.pin.project} {error.pin.version} cannot work here; nothing was installed",
        (sentence(error.finding), *((f"it would show as: {seen}",) if seen else ())),
        (WayOut("What else there is", shlex.join(("zoo", "explain", *words[2:]))),),
    )


@describe.register
def not_at_source(error: NotAtSource) -> Message:
    """The source of a project does not have what was planned; other indexes are not asked."""
    return Message(
        f"{error.project} {error.version} is not where it comes from",
        (f"source  {error.source}", "no other index or page is asked for it: whoever owns that could own the name"),
        (
            WayOut("See what the source has", f"pip index versions {shlex.quote(error.project)}"),
            WayOut("Name another package index", "export UV_DEFAULT_INDEX=https://HOST/simple"),
        ),
    )


@describe.register
def unplanned_project(error: UnplannedProject) -> Message:
    """An ordinary package needs a project that only zoo may choose."""
    return Message(
        f"something asks for {error.project}, which zoo takes from its own source only, and only when it is planned",
        error.lines,
        (WayOut("Plan it, too", shlex.join((*error.words, error.project))),),
    )


@describe.register
def no_wheel(error: NoWheel) -> Message:
    """Something has source archives only, and nobody asked to run them."""
    what = f"there is no wheel of {' and '.join(error.needed)} that fits here"
    facts = ("building from source runs the code of a package on this computer; zoo does that for what you name",)
    if error.archives and error.builds:
        words = (*error.words, *(word for each in error.archives for word in ("--build", each)))
        return Message(what, facts, (WayOut("Build that and nothing else, when you trust it", shlex.join(words)),))
    if error.archives:
        build = "; ".join(shlex.join(["zoo", "build", each, "-o", "wheels"]) for each in error.archives)
    else:
        build = shlex.join(["python", "-m", "pip", "wheel", "--no-deps", "-w", "wheels", *error.needed])
    again = shlex.join((*error.words, "--find-links", "wheels"))
    return Message(what, facts, (WayOut("Build it once, when you trust it", build), WayOut("Then", again)))
