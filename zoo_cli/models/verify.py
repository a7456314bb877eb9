"""`zoo index verify`: releases read afresh and compared with the documents that stand in the index, byte for byte.

A flow: fetch and build as `zoo index build` does, compare the text (of deltas, too), count the figures,
compare those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_cli.errors import ZooError
from zoo_cli.models.batch import Request, Sources, build_one, each_release
from zoo_cli.models.figures import Difference, Expectation, compare, figures_of
from zoo_cli.models.indexfiles import current, is_written
from zoo_cli.models.upstream import find_release
from zoo_cli.transfer.parallel import Shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from zoo_cli.models.build import Built


@dataclass(frozen=True, slots=True)
class Verified:
    """One release against the index and the expected figures; `changed` names models, the first ones."""

    request: Request
    in_index: bool
    is_same: bool
    changed: tuple[str, ...]
    figures: Mapping[str, int]
    repaired: int
    missing: int
    differences: tuple[Difference, ...]

    @property
    def is_fine(self) -> bool:
        """Whether the document is the same and every difference of the figures is explained."""
        return self.is_same and all(each.reason for each in self.differences)


def verify_releases(
    requests: Sequence[Request], index: Path, sources: Sources, expectation: Expectation | None, jobs: int = 4
) -> Iterator[tuple[Request, Verified | ZooError]]:
    """Each release as it is verified, in the order asked; an error of one is its outcome."""
    calm = replace(sources, listen=Shared(sources.listen))
    for request, result in each_release(requests, lambda one: _rebuilt(one, index, calm), jobs):
        yield request, result if isinstance(result, ZooError) else _verified(request, result, index, expectation)


def _rebuilt(request: Request, index: Path, sources: Sources) -> Built:
    release = find_release(request.project, request.version, sources.mirrors, sources.settings)
    return build_one(release, current(index, release.project, request.version), sources)


def _verified(request: Request, built: Built, index: Path, expectation: Expectation | None) -> Verified:
    figures = figures_of(built.records)
    states = [each.config_state for each in built.records.models]
    return Verified(
        request=request,
        in_index=not built.is_new,
        is_same=built.is_same and is_written(index, built),
        changed=(*built.added, *built.removed, *built.changed)[:10],
        figures=figures,
        repaired=states.count("repaired"),
        missing=states.count("missing"),
        differences=compare(str(request), figures, expectation) if expectation else (),
    )
