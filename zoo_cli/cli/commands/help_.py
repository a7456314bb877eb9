"""`zoo help TOPIC`: the few things that are not about one command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.cli.text import columns
from zoo_cli.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo_cli.cli.console import Console

# Every environment variable that zoo reads by name, and what it does; tests compare this with the source.
ENVIRONMENT = (
    ("ZOO_CACHE", "directory for fetched and built files (else XDG_CACHE_HOME/zoo, ~/.cache/zoo)"),
    ("ZOO_LINK", "copy: files leave the cache as copies of their own, never as hard links (else auto)"),
    ("ZOO_STATE", "directory for logs and first-seen digests (else XDG_STATE_HOME/zoo, ~/.local/state/zoo)"),
    ("ZOO_INDEX", "another index: a directory like index/, or a compiled zoo.db"),
    ("ZOO_MIRRORS", "another mirrors.yaml instead of the one in the user's configuration directory"),
    ("ZOO_CA_BUNDLE", "PEM file of further certificate authorities to trust"),
    ("ZOO_OFFLINE", "1: make no connection (the same as --offline)"),
    ("ZOO_INSTALLER", "uv or pip: what installs into the target (else uv where there is one, else its pip)"),
    ("ZOO_PYTHON", "the interpreter to install into, before VIRTUAL_ENV and PATH"),
    ("ZOO_DRIVER", "driver version to assume instead of the one found"),
    ("ZOO_CUDA", "newest CUDA of the user-mode driver to assume"),
    ("ZOO_SM", "compute capability to assume: 8.6, or one for each GPU: 8.6,6.1"),
    ("ZOO_GLIBC", "glibc version to assume"),
    ("ZOO_SIGNING_PASSPHRASE", "of the keys that zoo index key, sign and publish use"),
    ("ZOO_DEBUG", "1: show the traceback of an error"),
    ("NO_COLOR, FORCE_COLOR", "colour off, colour on; --color goes before both"),
    ("HTTP_PROXY, HTTPS_PROXY, NO_PROXY", "proxies, as everywhere"),
)


def _exit_codes() -> list[str]:
    texts = {
        ExitCode.FINE: "done; an empty list is fine, too",
        ExitCode.FAILED: "something failed",
        ExitCode.USAGE: "the command line, a filter or a name was wrong",
        ExitCode.NO_SOLUTION: "no set of versions fits",
        ExitCode.ENVIRONMENT: "the environment has a blocking problem",
        ExitCode.NETWORK: "a host could not be reached or did not deliver",
        ExitCode.INTEGRITY: "bytes are not what they should be",
        ExitCode.INTERRUPTED: "stopped by Ctrl-C; what was fetched is kept",
    }
    return columns([(str(int(code)), text) for code, text in texts.items()], right=frozenset({0}))


def _environment() -> list[str]:
    return columns(ENVIRONMENT)


def _filters() -> list[str]:
    from zoo_cli.catalog.filters import FIELDS

    rows = [(field.name, field.description) for field in FIELDS]
    return [
        "zoo list mmdet --filter \"box_AP>=50 and collection=DDQ and not dataset='LVIS v1'\"",
        "",
        "Comparisons   =  !=  <  <=  >  >=   in (a, b)   ~ 'glob*'   also 40<box_AP<=50",
        "Joined with   and, or, not, parentheses; a comma is an and",
        "Metrics       any metric of the index by name: box_AP, mask_AP, mIoU ... (zoo list --metrics)",
        "              shares are compared in percent, also where upstream publishes 0.723",
        "Bound         box_AP>=50 and dataset=COCO: that box_AP was measured on COCO (dataset, task);",
        "              inference_ms<30 and hardware=V100: that time was taken on a V100 (hardware, resolution, mode)",
        "",
        *columns(rows),
    ]


def _machine() -> list[str]:
    return [
        "Describe a machine for --machine as key=value facts, separated by commas:",
        "",
        '  zoo install mmdet --dry-run --machine gpu="RTX 3090",driver=535.183.01,python=3.10,os=linux',
        "",
        *columns(
            [
                ("gpu", "a product name; repeat it for several, 2xA100 for two, none for no GPU"),
                ("sm", "compute capability, where the name is not known: 8.6"),
                ("driver", "the kernel driver: 535.183.01"),
                ("cuda", "the newest CUDA of the user-mode driver: 12.2"),
                ("python", "the Python to install into: 3.10"),
                ("os, arch", "linux, windows or macos; x86_64, aarch64, arm64"),
                ("glibc, musl", "the C library: 2.31"),
                ("torch", "an installed torch: 2.1.2+cu121"),
            ]
        ),
        "",
        "Or save one machine, and plan for it on another:",
        "",
        "  zoo check-env --save lab.json",
        "  zoo install mmdet --dry-run --machine lab.json",
    ]


def _mirrors() -> list[str]:
    return [
        "Every address that zoo fetches can be taken from another host. For one command:",
        "",
        "  zoo install mmdet --mirror https://download.openmmlab.com=http://mirror.lab/openmmlab",
        "",
        "For good, in ~/.config/zoo/mirrors.yaml (or the file in ZOO_MIRRORS):",
        "",
        "  version: 1",
        "  mirrors:",
        "  - from: https://download.openmmlab.com",
        "    to: [http://mirror.lab/openmmlab]",
        "    kinds: [wheels, checkpoints]",
        "",
        "Mirrors that others vouch for: zoo mirror list, zoo mirror use NAME, or --region cn: the fastest first.",
        "A project's mirrors.yaml (here, or above up to .git or pyproject.toml) counts after zoo mirror use --project.",
        "",
        "A mirror of your own: zoo mirror sync NAME --wheels mmdet --to DIR fills it, zoo mirror serve DIR serves it,",
        "and zoo mirror use http://HOST:8000/ on another machine takes everything from there.",
        "",
        "A mirror can deny or delay a file, never change one whose digest is known. More: docs/mirrors.md",
    ]


TOPICS: dict[str, Callable[[], list[str]]] = {
    "filters": _filters,
    "machine": _machine,
    "mirrors": _mirrors,
    "environment": _environment,
    "exit-codes": _exit_codes,
}


@click.command(name="help", epilog="Examples: zoo help filters    zoo help exit-codes")
@click.argument("topic", required=False, type=click.Choice(sorted(TOPICS)))
@common_options
@pass_console
@click.pass_context
def command(context: click.Context, console: Console, topic: str | None) -> None:
    """Explain filters, --machine, mirrors, environment variables or exit codes."""
    if topic is None:
        console.data(context.find_root().get_help())
        return
    lines = TOPICS[topic]()
    if console.json:
        console.document({"ok": True, "command": "help", "topic": topic, "lines": lines})
        return
    for line in lines:
        console.data(line)
