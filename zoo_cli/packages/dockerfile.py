"""A lock as a Dockerfile: the same wheels by SHA-256 on an image that fits, without root at run time.

Pure. It needs nothing beside itself (`docker build - < Dockerfile`): requirements stand in it as here-documents, which
BuildKit reads (https://docs.docker.com/reference/dockerfile/#here-documents). Layers go from what changes least to what
changes most: system packages, torch with CUDA's libraries, everything else, what was asked for. Access to private
indexes comes as build secrets, which stay in no layer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.packages.export import head, python_of, requirement
from zoo_cli.packages.modelexport import end, fetching
from zoo_cli.packages.problem import TORCH_FAMILY
from zoo_cli.packages.versions import version as parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zoo_cli.catalog.entries import Image, Project
    from zoo_cli.packages.locked import Lock, LockedPackage

_HOME = "/opt/zoo"  # the environment
_MODELS = f"{_HOME}/models"
_SECRETS = "--mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=netrc,target=/root/.netrc"
_OF_TORCH = ("nvidia-", "cuda-", "triton", "pytorch-triton")  # projects that torch brings
_USER = 10001  # no image's own: ubuntu 24.04 has a user 1000


class NoImage(ZooError):
    """No image of the index has what the lock needs."""

    code = "no-image"
    exit_code = ExitCode.NO_SOLUTION

    path: str
    python: str
    glibc: str  # "" when any will do
    arch: str


class OnlyHere(ZooError):
    """The lock names files of this computer, which a build elsewhere cannot fetch."""

    code = "only-here"
    exit_code = ExitCode.USAGE

    path: str
    addresses: tuple[str, ...]


def choose_image(lock: Lock, images: Sequence[Image], path: str) -> Image:
    """The image to build on: NVIDIA's of the lock's CUDA where its Python is the lock's, else Python's own.

    Args:
        lock: for one Linux machine.
        images: that the index knows.
        path: of the lock, for errors.

    Raises:
        NoImage: none has that Python, that glibc or newer, and that processor.
    """
    python, glibc = python_of(lock), lock.minimum.get("glibc", "")
    arch = lock.machine.get("arch", "x86_64")
    fitting = [
        each
        for each in images
        if each.python == python and arch in each.arches and (not glibc or parsed(each.glibc) >= parsed(glibc))
    ]
    cuda = _cuda(lock)
    exact = [each for each in fitting if cuda and each.cuda and each.cuda.rpartition(".")[0] == cuda]
    plain = [each for each in fitting if each.cuda is None]
    if not exact and not plain:
        raise NoImage(path, python, glibc, arch)
    return max(exact or plain, key=lambda each: parsed(each.glibc))


def _cuda(lock: Lock) -> str | None:
    from zoo_cli.machine.cuda import variant_to_cuda

    return variant_to_cuda(lock.variant) if lock.variant else None


def dockerfile(
    lock: Lock,
    image: Image | str,
    system: Mapping[str, Sequence[str]],
    known: Mapping[str, Project],
    path: str,
    configs: Mapping[str, str],
) -> str:
    """The Dockerfile.

    Args:
        lock: for one Linux machine.
        image: of the index, or the name of one that has the lock's Python on its PATH.
        system: project -> the Debian packages whose libraries its wheels need.
        known: projects of the index: the build ends with importing the lock's, since ops that do not load are no image.
        path: of the lock, for errors.
        configs: the texts of its models' configs, by file name.

    Raises:
        OnlyHere: a wheel or a model's file is on this computer.
    """
    files = [each for package in lock.packages for each in package.wheels]
    files += [each for model in lock.models for each in model.files]
    local = sorted(each.url for each in files if not each.url.startswith("http"))
    if local:
        raise OnlyHere(path, tuple(local))
    python = f"python{python_of(lock)}"
    brings = () if isinstance(image, str) else image.apt
    needs = {name for package in lock.packages for name in system.get(package.project, ())}
    return "\n".join([
        *head(lock),
        "# Build: docker build -t NAME - < Dockerfile",
        "# Private index: --secret id=pip,src=pip.conf and --secret id=netrc,src=.netrc; neither stays in the image.",
        *_base(lock, image),
        "ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1",
        *_apt([*brings, *sorted({*needs, *(["ca-certificates"] if lock.models else [])})]),
        f"RUN {python} -m venv {_HOME} && useradd --uid {_USER} --create-home zoo",
        f"ENV PATH={_HOME}/bin:$PATH",
        *(line for name, packages in _layers(lock) for line in _layer(name, packages)),
        *_models(lock, configs),
        *_check(lock, known),
        "USER zoo",
        "WORKDIR /home/zoo",
        'CMD ["python"]',
        "",
    ])  # fmt: skip


def _base(lock: Lock, image: Image | str) -> Iterator[str]:
    if isinstance(image, str):
        yield f"FROM {image}"
    else:
        yield f"# {image.origin.evidence} on {image.origin.date}: {image.origin.source}"
        yield f"FROM {image.name}"
    if _cuda(lock) and (isinstance(image, str) or image.cuda is None):
        yield "# torch's wheels bring CUDA; the driver comes from NVIDIA's container toolkit at run time (--gpus all)."
        yield "ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility"


def _apt(packages: Sequence[str]) -> Iterator[str]:
    if packages:
        yield "RUN apt-get update \\"
        yield " && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \\"
        yield f"    {' '.join(packages)} \\"
        yield " && rm -rf /var/lib/apt/lists/*"


def _models(lock: Lock, configs: Mapping[str, str]) -> Iterator[str]:
    """Configs as they are, then a program that fetches the rest and compares each SHA-256."""
    if not lock.models:
        return
    for name, text in sorted(configs.items()):
        yield from (f"COPY <<'{end(text)}' {_MODELS}/{name}", *text.splitlines(), end(text))
    yield from (f"COPY <<'ZOO' {_HOME}/models.py", *fetching(lock), "ZOO")
    yield f"RUN mkdir -p {_MODELS} && cd {_MODELS} && python {_HOME}/models.py"


def _check(lock: Lock, known: Mapping[str, Project]) -> Iterator[str]:
    kinds = {each.project: known[each.project].kind for each in lock.packages if each.project in known}
    names = {known[name].import_name for name, kind in kinds.items() if kind in ("ops", "engine", "framework")}
    modules = sorted("mmcv.ops" if name == "mmcv" else name for name in names)  # `import mmcv` loads no ops
    if modules:
        yield f"RUN python -c 'import {', '.join(modules)}'"


def _layers(lock: Lock) -> Iterator[tuple[str, list[LockedPackage]]]:
    """The packages by how often they change, with a name for each group."""
    asked = {re.split(r"[^a-z0-9._-]", word.lower())[0] for word in lock.requested}
    groups: dict[str, list[LockedPackage]] = {"torch": [], "dependencies": [], "asked": []}
    for package in sorted(lock.packages):
        if package.project in TORCH_FAMILY or package.project.startswith(_OF_TORCH):
            groups["torch"].append(package)
        else:
            groups["asked" if package.project in asked else "dependencies"].append(package)
    return ((name, packages) for name, packages in groups.items() if packages)


def _layer(name: str, packages: Sequence[LockedPackage]) -> Iterator[str]:
    file = f"{_HOME}/{name}.txt"
    yield f"COPY <<'ZOO' {file}"
    yield from map(requirement, packages)
    yield "ZOO"
    yield f"RUN {_SECRETS} \\"
    yield f"    python -m pip install --no-deps --only-binary :all: --require-hashes -r {file}"
