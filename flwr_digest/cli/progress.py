"""How runs come along, on stderr: a bar on a terminal, else a line for each that has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from flwr_digest.cli.workers import Watcher


@contextmanager
def shown(what: str, names: Sequence[str], console: Console) -> Iterator[Watcher]:
    """Yield the watcher that shows how some tasks come along; it is taken off afterwards.

    Parameters
    ----------
    what : str
        What all of them do, for the bar.
    names : sequence of str
        What each is called.
    console : Console
        Where to: a terminal, or not.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield _watcher(what, names, progress)


def _watcher(what: str, names: Sequence[str], progress: Progress) -> Watcher:
    count = len(names)
    task = progress.add_task(f"{what}: 0 of {count}", total=count)
    shares = [0.0] * count
    ended: set[int] = set()

    def on_share(number: int, share: float) -> None:
        shares[number] = max(shares[number], share)
        progress.update(task, completed=sum(shares))

    def on_end(number: int) -> None:
        ended.add(number)
        on_share(number, 1.0)
        progress.update(task, description=f"{what}: {len(ended)} of {count}")
        if not progress.console.is_terminal:
            progress.console.print(f"{what}: {names[number]} ({len(ended)} of {count})")

    return Watcher(on_share=on_share, on_end=on_end)
