"""The root command, its lazy sub-commands, and the one boundary where errors become text and exit codes."""

from __future__ import annotations

import importlib
import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from zoo_cli import __version__
from zoo_cli.cli.console import Console, OutputLost, drop_output
from zoo_cli.cli.text import columns
from zoo_cli.errors import ExitCode, ZooError
from zoo_cli.plaintext import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo_cli.cli.messages import Message

# name -> (module, one line of help); the module is imported when its command runs.
COMMANDS = {
    "check-env": ("check_env", "Show what this machine is, what fits and what is broken."),
    "install": ("install", "Install packages that work together here."),
    "lock": ("lock", "Write down every wheel of a stack, to repeat it anywhere."),
    "sync": ("sync", "Make an environment equal a lock."),
    "export": ("export", "Print a lock for pip, conda, a shell, a notebook or Docker."),
    "uninstall": ("uninstall", "Remove packages."),
    "undo": ("undo", "Bring back what was before a change."),
    "history": ("history", "List what zoo changed in an environment."),
    "explain": ("explain", "Tell why these versions, and why not others."),
    "matrix": ("matrix", "Show which wheels exist: torch x CUDA x Python."),
    "list": ("list_", "Find models; works offline."),
    "show": ("show", "Tell all that is known of a model, and from where."),
    "compare": ("compare", "Set models side by side."),
    "download": ("download", "Fetch checkpoints and their flattened configs."),
    "bundle": ("bundle", "Put models into one file, for machines without network."),
    "config": ("config", "Flatten and read configs, without running them."),
    "diff": ("diff", "Tell what differs between two configs."),
    "verify": ("verify", "Compare downloaded files with their receipts; works offline."),
    "remove": ("remove", "Remove downloaded models."),
    "fetch": ("fetch", "Fetch any file: resumed, verified, atomic."),
    "mirror": ("mirror", "Use mirrors of upstream's hosts; make and serve your own."),
    "cache": ("cache", "See what is kept between runs, and make room."),
    "inspect": ("inspect", "Tell what a wheel, a compiled file or an environment really is."),
    "scan": ("scan", "Look for code in checkpoints: files, directories, addresses."),
    "convert": ("convert", "Rewrite a checkpoint as safetensors, which cannot hold code."),
    "build": ("build", "Compile a wheel of an ops package from its sdist."),
    "index": ("index", "Update the signed index, choose whom to trust; build it (maintainers)."),
    "help": ("help_", "Read about filters, machine, mirrors, environment, exit-codes."),
}

# What other tools (openmim, pip, npm, conda) call it.
ELSEWHERE = {"search": "list --search", "find": "list --search", "info": "show", "view": "show", "get": "download"}

WIDE = 110  # columns up to which a way out keeps its command beside it

_INTRODUCTION = """\
Install PyTorch stacks with compiled ops that fit this machine, and fetch their models.

\b
  zoo check-env                                   what fits here
  zoo install mmdet                               torch, mmcv and mmdet that work together
  zoo list mmdet --filter 'box_AP>=50'            choose a model
  zoo download rtmdet_tiny_8xb32-300e_coco --dest .   checkpoint and flat config
"""


class Root(click.Group):
    """The group `zoo`: knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"zoo_cli.cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        _set_out_examples(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Commands with their one line, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_module, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with a near name when there is no such command."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            ctx.fail(f"No such command '{printable(name, 80)}'.{_hint(name, args[1:])}")
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **named: Any) -> click.Context:
        """Like click's, which writes the help here."""
        with _written_out():
            return super().make_context(*args, **named)

    def invoke(self, ctx: click.Context) -> object:
        """Like click's, until all of the answer is written."""
        with _written_out():
            result: object = super().invoke(ctx)
            ctx.ensure_object(Console).finish()
        return result


def _set_out_examples(command: click.Command) -> None:
    """Each example of a help on a line of its own, so that it can be pasted; click would break them anywhere."""
    head, _, rest = (command.epilog or "").partition(": ")
    if head in ("Example", "Examples"):
        lines = re.split(r" {4}|; (?=zoo )|\. (?=[A-Z])", rest.rstrip("."))
        command.epilog = "\n  ".join(("\b", *lines)).replace("\b\n  ", f"\b\n{head}:\n  ", 1)
    for each in getattr(command, "commands", {}).values():
        _set_out_examples(each)


@contextmanager
def _written_out() -> Iterator[None]:
    """A reader of the help that goes away (`zoo --help | head`) is no fault; click, its writer, would end with 1."""
    try:
        yield
    except BrokenPipeError:
        drop_output(sys.stdout)
        raise click.exceptions.Exit(ExitCode.FINE) from None


def _hint(name: str, rest: list[str]) -> str:
    """What may have been meant by a command that is none: another tool's word for it, else a near name."""
    if name in ELSEWHERE:
        import shlex

        words = " ".join(word for word in rest if not word.startswith("-"))
        return f" That is: zoo {ELSEWHERE[name]} {shlex.quote(printable(words, 80)) if words else '...'}"
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


@click.group(
    cls=Root,
    help=_INTRODUCTION,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="zoo %(version)s")
@click.pass_context
def root(context: click.Context) -> None:
    """The command `zoo` without a sub-command shows its help."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(argv: Sequence[str]) -> int:
    """Runs one command line; every end of it is an exit code."""
    console = Console()
    _let_go_in_order()
    try:
        # Not standalone: click gives an Exit back as its code instead of raising it.
        code = root.main(args=list(argv), prog_name="zoo", standalone_mode=False, obj=console)
    except click.UsageError as error:
        return _usage(console, error, argv)
    except (KeyboardInterrupt, click.Abort):
        console.complain("\nStopped. What was fetched is kept; the same command goes on from there.")
        return ExitCode.INTERRUPTED
    except ZooError as error:
        console.json = console.json and not isinstance(error, OutputLost)  # a document would be lost, too
        _print_traceback(console)
        show_error(console, error)
        return error.exit_code
    except Exception as error:
        return _bug(console, error)
    return code if isinstance(code, int) else ExitCode.FINE


def _let_go_in_order() -> None:
    """SIGTERM and a terminal that closes are like Ctrl-C: children end, what was half done is brought back."""
    import signal

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores it on purpose
            signal.signal(number, stop)


def _usage(console: Console, error: click.UsageError, argv: Sequence[str]) -> int:
    if console.json or "--json" in argv:
        console.document({"ok": False, "error": {"code": "usage", "what": error.format_message()}})
    else:
        from io import StringIO

        text = StringIO()
        error.show(file=text)
        console.complain(text.getvalue().rstrip("\n"))
    return ExitCode.USAGE


def show_error(console: Console, error: ZooError) -> None:
    """Writes an error: a document with --json, else `error[code]: what`, facts, ways out."""
    from zoo_cli.cli.messages import message_for

    message = message_for(error)
    if console.json:
        console.document({"ok": False, "error": {"code": error.code, **_document(message), "facts": error.fields()}})
        return
    for line in error_lines(console, error.code, message):
        console.complain(line)


def error_lines(console: Console, code: str, message: Message) -> list[str]:
    """The lines of one error."""
    lines = [f"{console.paint(f'error[{code}]', 'red')}: {printable(message.what)}"]
    lines += [f"  {printable(fact)}" for fact in message.facts]
    if console.verbose and message.sources:
        lines += ["", *(f"  source: {printable(source)}" for source in message.sources)]
    if message.ways_out:
        lines.append("")
        lines += _ways_out(message)
    return lines


def _ways_out(message: Message) -> list[str]:
    """Each way with its command beside it, or below it where that would be too wide."""
    rows = [
        (printable(way.text) + (":" if way.command else ""), printable(way.command or "")) for way in message.ways_out
    ]
    beside = columns(rows)
    if max(map(len, beside)) <= WIDE:
        return beside
    return [line for text, command in rows for line in (text, *([f"     {command}"] if command else []))]


def _document(message: Message) -> dict[str, object]:
    return {
        "what": message.what,
        "details": list(message.facts),
        "ways_out": [{"text": way.text, "command": way.command} for way in message.ways_out],
    }


def _print_traceback(console: Console) -> None:
    """Only with ZOO_DEBUG."""
    if console.environ.get("ZOO_DEBUG"):
        import traceback

        console.complain(traceback.format_exc().rstrip("\n"))


def _bug(console: Console, error: Exception) -> int:
    import traceback

    _print_traceback(console)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename.replace(os.sep, '/').rpartition('zoo_cli/')[2]}:{frame.lineno}"
    what = f"zoo hit a case it does not know ({type(error).__name__} in {place})"
    if console.json:
        console.document({"ok": False, "error": {"code": "bug", "what": what}})
    else:
        console.complain(f"{console.paint('error[bug]', 'red')}: {what}\n  {printable(str(error), 300)}\n")
        console.complain("See all of it: run the same command with ZOO_DEBUG=1\nReport it with:  zoo check-env --json")
    return ExitCode.FAILED
