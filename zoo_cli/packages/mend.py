"""The command that mends a finding, tried on the solver before it is shown.

Pure. A cause has one obvious command (`zoo install mmcv --replace mmcv`), and it does not always have a solution: no
wheel of the ops may exist for the torch that stays. Then the ops are compiled, or torch is replaced too, whichever has
a solution first; a finding for which none has keeps no command, since a command that fails is worse than none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from zoo_cli.packages.request import Request, parse_wants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from zoo_cli.catalog.entries import Project
    from zoo_cli.packages.findings import Finding

Words = tuple[str, ...]
_LISTS = ("--replace", "--build")


class Installed(NamedTuple):
    """What a command may have to keep or to replace."""

    frameworks: Words = ()  # as requirements: "mmdet==3.3.0"; they stay when torch is replaced
    ops: Words = ()  # projects with compiled ops
    has_gpu: bool = False  # then wheels for another torch are tried before compiling, which needs CUDA's compiler


def confirmed(
    findings: Iterable[Finding], projects: Mapping[str, Project], solves: Callable[[Request], bool], here: Installed
) -> tuple[Finding, ...]:
    """The findings, each with a command that has a solution, or with none.

    Args:
        findings: as `diagnose` gives them.
        projects: those of the index.
        solves: whether a request has a solution in the target.
        here: what is installed there.
    """
    tried: dict[Words, bool] = {}

    def works(words: Words) -> bool:
        if words not in tried:
            tried[words] = solves(request_of(words, projects))
        return tried[words]

    def mended(finding: Finding) -> Finding:
        if not finding.install or "--env" in finding.install or "--find-links" in finding.install:
            return finding
        return finding._replace(install=next(filter(works, _ways(finding.install, projects, here)), ()))

    return tuple(map(mended, findings))


def _ways(words: Words, projects: Mapping[str, Project], here: Installed) -> Iterator[Words]:
    """The commands to try, the one that changes least first."""
    yield words
    ops = [name for name in named(words) if name in projects and projects[name].sdists]
    build = [merge((words, ("--build", ",".join(ops))))] if ops else []
    torch = [merge((words, here.frameworks, ("--replace", "torch")))]
    yield from (*torch, *build) if here.has_gpu else (*build, *torch)
    everything = [name for name in dict.fromkeys((*ops, *here.ops)) if projects[name].sdists]
    if everything:
        names = ",".join(everything)
        yield merge((words, ("--replace", names), ("--build", names)))
        yield merge((words, here.frameworks, ("--replace", f"torch,{names}"), ("--build", names)))


def named(words: Words) -> list[str]:
    """The projects that a command installs or replaces, without their versions."""
    wants, lists, _rest = _parts(words)
    found = [each.partition("=")[0].partition("<")[0].partition(">")[0] for each in wants]
    return list(dict.fromkeys((*found, *lists["--replace"])))


def request_of(words: Words, projects: Mapping[str, Project]) -> Request:
    """The request that a command's words stand for."""
    wants, lists, _rest = _parts(words)
    return Request(
        parse_wants(wants, projects), replace=frozenset(lists["--replace"]), build=frozenset(lists["--build"])
    )


def merge(commands: Iterable[Words]) -> Words:
    """Several commands as one: a project is named once, the exact version first; lists are joined."""
    wants: dict[str, str] = {}
    lists: dict[str, dict[str, None]] = {name: {} for name in _LISTS}
    others: list[str] = []
    for words in commands:
        found, more, rest = _parts(words)
        for want in found:
            name = named((want,))[0]
            if "==" in want or name not in wants:
                wants[name] = want
        for option, values in more.items():
            lists[option] |= dict.fromkeys(values)
        others += [word for word in rest if word not in others]
    joined = [word for option in _LISTS if lists[option] for word in _option(option, list(lists[option]))]
    return (*wants.values(), *joined, *others)


def _option(option: str, values: list[str]) -> Words:
    if option == "--build":  # it is repeated, not joined
        return tuple(word for value in values for word in (option, value))
    return option, ",".join(values)


def _parts(words: Words) -> tuple[list[str], dict[str, list[str]], list[str]]:
    """The requirements, the values of the list options, and all the rest in its order."""
    wants: list[str] = []
    lists: dict[str, list[str]] = {name: [] for name in _LISTS}
    rest: list[str] = []
    following = iter(words)
    for word in following:
        if word in lists:
            lists[word] += next(following, "").split(",")
        elif word.startswith("--"):
            rest += [word, next(following, "")]
        else:
            wants.append(word)
    return wants, lists, rest
