"""`zoo config`: a config with its bases merged in, as a file or in parts; nothing of it is executed."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_cli.cli.options import common_options, pass_console
from zoo_cli.errors import ExitCode, ZooError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zoo_cli.cli.console import Console
    from zoo_cli.models.configsource import NamedConfig

NARROW = 80  # columns where there is no terminal to ask


class NoSuchKey(ZooError):
    """The config has no such key."""

    code = "no-such-key"
    exit_code = ExitCode.USAGE

    asked: str
    missing: str  # as far as the part that is not there
    near: tuple[str, ...]  # keys that are there in its place
    config: str


@click.group(
    "config", epilog="Examples: zoo config flatten my.py -o flat.py; zoo config show mmdet::yolo/yolov3.py model."
)
def command() -> None:
    """Read configs: files, models, or package::path.

    Nothing of a config is executed or imported. CONFIG is a file (.py, .json, .yaml), the name of a model as in
    `zoo show`, or any config of a package: mmdet::_base_/default_runtime.py.
    """


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds what chooses and reaches a config: --release, --root, --mirror, and the common options."""
    options = (
        click.option("--release", metavar="VERSION", help="Of this release of the package, not the newest."),
        click.option(
            "--root",
            type=click.Path(path_type=Path),
            help="For a file: the folder no base may leave. [default: the one above the outermost configs]",
        ),
        click.option(
            "--mirror", "mirrors", metavar="FROM=TO", multiple=True, help="Try TO for addresses with FROM first."
        ),
    )
    function = common_options(function)
    for option in reversed(options):
        function = option(function)
    return function


@contextmanager
def opener(console: Console, mirrors: tuple[str, ...]) -> Iterator[Callable[..., NamedConfig]]:
    """A function that opens configs by what they are called; releases' files stay open between two of them."""
    from zoo_cli.catalog.database import open_catalog
    from zoo_cli.catalog.models import releases
    from zoo_cli.cli.sources import users_mirrors
    from zoo_cli.directories import CacheUnusable, cache_directory
    from zoo_cli.models.configsource import open_config
    from zoo_cli.models.flatten import Releases
    from zoo_cli.transfer.settings import Settings

    try:
        cache = cache_directory()
    except CacheUnusable as error:
        console.warn(f"nothing is kept between runs: {error.path}: {error.reason}")
        cache = None
    settings = Settings(offline=console.offline)
    with (
        closing(open_catalog()) as catalog,
        Releases(users_mirrors(console, mirrors), settings, cache, releases(catalog)) as trees,
    ):
        yield lambda asked, **more: open_config(asked, catalog, trees, **more)


@command.command("flatten", epilog="What it would import or fetch once it is built is told on stderr.")
@click.argument("config")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write this file. [default: stdout]")
@click.option("--yaml", is_flag=True, help="YAML instead of Python; tuples become lists.")
@click.option("--force", is_flag=True, help="Replace another file of that name.")
@source_options
@pass_console
def flatten(
    console: Console,
    config: str,
    output: Path | None,
    yaml: bool,
    force: bool,
    release: str | None,
    root: Path | None,
    mirrors: tuple[str, ...],
) -> None:
    """Write a config with its bases merged in, as one file.

    The Python form loads in mmengine as the equal config. With --json the settings are in a document, tuples as lists.
    """
    from zoo_cli.models.plainforms import for_json, yaml_text
    from zoo_cli.models.writer import header_lines, write_flat

    with opener(console, mirrors) as open_config:
        made = open_config(config, release=release, root=root)
    if console.json and not output:
        console.document({**document(made), "command": "config flatten", "config": for_json(made.flat.settings)})
        return
    if yaml:
        text = yaml_text(made.flat.settings, tuple(header_lines(made.header)))
    else:
        text = write_flat(made.flat, made.header)
    _tell_findings(console, made)
    if output is None:
        console.put(text)
        return
    _place(console, made, output, text, replace=force)


def _place(console: Console, made: NamedConfig, path: Path, text: str, *, replace: bool) -> None:
    from zoo_cli.models.placing import is_placed, place

    here = is_placed(path, text, replace=replace)
    if not here:
        place(path, text)
    if console.json:
        console.document({**document(made), "command": "config flatten", "path": str(path), "already_here": here})
        return
    console.data(str(path))


@command.command(
    "show", epilog="Keys are dotted, as in mmengine's --cfg-options: model.backbone.depth, train_pipeline.2.type."
)
@click.argument("config")
@click.argument("keys", nargs=-1, metavar="[KEY...]")
@source_options
@pass_console
def show(
    console: Console,
    config: str,
    keys: tuple[str, ...],
    release: str | None,
    root: Path | None,
    mirrors: tuple[str, ...],
) -> None:
    """Show what a config is made from and its settings, or the values of KEYs."""
    from zoo_cli.cli.config_view import summary_lines
    from zoo_cli.cli.width import terminal_cells
    from zoo_cli.models.plainforms import for_json
    from zoo_cli.models.writer import write_value

    with opener(console, mirrors) as open_config:
        made = open_config(config, release=release, root=root)
    values = {key: _value(made, key) for key in keys}
    if console.json:
        shown = values or made.flat.settings
        console.document({**document(made), "command": "config show", "values": for_json(shown)})
        return
    _tell_findings(console, made)
    if not keys:
        for line in summary_lines(made, terminal_cells(console.out) or NARROW):
            console.data(line)
    for key, value in values.items():
        name = f"{key} = " if len(keys) > 1 else ""
        for line in write_value(value, len(name)).splitlines():
            console.data(_harmless(name + line))
            name = ""


def _harmless(text: str) -> str:
    from zoo_cli.plaintext import printable

    return printable(text, 1_000_000)


def _value(made: NamedConfig, key: str) -> object:
    from difflib import get_close_matches

    from zoo_cli.models.differences import value_at

    try:
        return value_at(made.flat.settings, key)
    except LookupError as error:
        missing = str(error.args[0])
        above, _dot, last = missing.rpartition(".")
        place = value_at(made.flat.settings, above) if above else made.flat.settings
        names = list(map(str, place)) if isinstance(place, dict) else list(map(str, range(len(place or ()))))[:20]
        near = tuple(get_close_matches(last, names, n=3) or names[:8])
        raise NoSuchKey(key, missing, near, made.name) from error


def document(made: NamedConfig) -> dict[str, object]:
    """What every document on a config says of it."""
    from zoo_cli.models.config_findings import findings

    return {
        "ok": True,
        "name": made.name,
        "from": made.origin,
        "files": list(made.flat.files),
        "findings": [each._asdict() for each in findings(made.flat)],
    }


def _tell_findings(console: Console, made: NamedConfig) -> None:
    from zoo_cli.cli.config_view import finding_line
    from zoo_cli.models.config_findings import findings

    for finding in findings(made.flat):
        console.say(f"  {finding_line(finding)}")
