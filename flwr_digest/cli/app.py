"""The `flwr-digest` command: what it is made of, and how it ends."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import click
import typer

from flwr_digest import __version__
from flwr_digest.cli import bench
from flwr_digest.cli.compare import compare
from flwr_digest.cli.consoles import notes_console, results_console
from flwr_digest.cli.scenarios import scenarios
from flwr_digest.cli.simulate import simulate
from flwr_digest.cli.usage import NAME, one_line, usage_line
from flwr_digest.errors import DigestError

WRONG = 2
"""Exit code of everything that the user can put right, as click has it for wrong usage."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal, as shells have it."""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command()(simulate)
app.command()(compare)
app.command()(scenarios)
app.add_typer(bench.app, name="bench")


def _show_version(wanted: bool) -> None:
    if wanted:
        results_console().print(__version__)
        raise typer.Exit


@app.callback()
def _group(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, help="Show the version.")
    ] = False,
) -> None:
    """DIGEST and its rivals in simulation: decentralized learning, measured side by side."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str or None
        What stands after the command's name; None takes them from the command line. Nothing at
        all asks for help.

    Returns
    -------
    int
        The exit code: 0, 2 for what the user can put right (with one line on stderr), 130 after
        Ctrl-C. Nothing is left running, nor after SIGTERM.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    command = typer.main.get_command(app)
    try:
        with _ended_in_order():
            status = command.main(given or ["--help"], prog_name=NAME, standalone_mode=False)
    except click.ClickException as error:
        return _refused(usage_line(error))
    except DigestError as error:
        return _refused(one_line(str(error)))
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    return status if isinstance(status, int) else 0


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let a SIGTERM unwind the stack, so that all that was started is stopped."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _refused(line: str) -> int:
    notes_console().print(f"{NAME}: {line}", style="red")
    return WRONG
