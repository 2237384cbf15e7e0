"""FedAvg and DIGEST side by side: the same app, data and number of local steps, on this machine.

`make demo` runs this. It starts a Flower of its own, offline, and stops it; the results are shown
in a table and written to `runs/demo/summary.json`, with the logs of all runs beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

from flwr_digest.errors import DigestError
from flwr_digest.launch import SuperLink, run_app, simulation_of
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

EXAMPLES = Path(__file__).resolve().parent
OUTPUT = EXAMPLES.parent / "runs" / "demo"

NODES = 8
RUN_SECONDS = 300.0  # the longest took 129 s on two cores that did much else (measured)

# Both make 240 passes over each node's samples, which is 2,880 local steps of 16 samples. FedAvg
# averages eight times on the way; more rounds would help it by label, at 6 s each (measured).
LOCAL_EPOCHS = 240
FEDAVG_ROUNDS = 8
# Falling to nothing: eight nodes on two cores do not end together, and at a rate that stays, those
# that end last drift off by label (0.91 to 0.97 in five runs at 0.1, measured).
LEARNING_RATE = 0.2
SHARDS = 4  # four hops under way at once
QUICK_LOCAL_EPOCHS = 4
QUICK_FEDAVG_ROUNDS = 2

console = Console()
errors = Console(stderr=True, soft_wrap=True, markup=False)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to learn: the app that does it, and into how many rounds it cuts the work.

    `settings` are what the app is told besides; `shown` says the same in the table.
    """

    name: str
    title: str
    app: Path
    rounds: int
    local_epochs: int
    settings: Mapping[str, int | bool] = field(default_factory=dict)
    shown: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run came to; an entry of the summary."""

    method: str
    title: str
    settings: str
    partition: str
    accuracy_mean: float
    accuracy_worst: float
    wall_seconds: float
    bytes_between_nodes: int
    model_bytes_through_server_in_training: int


def methods(partition: str, *, quick: bool) -> list[Method]:
    """Return the methods to compare on data of a kind, in the order of the table."""
    epochs, rounds = (LOCAL_EPOCHS, FEDAVG_ROUNDS)
    if quick:
        epochs, rounds = (QUICK_LOCAL_EPOCHS, QUICK_FEDAVG_ROUNDS)
    fedavg = EXAMPLES / "quickstart-digits-fedavg"
    digest = EXAMPLES / "quickstart-digits"
    return [
        Method(
            name="fedavg",
            title="FedAvg",
            app=fedavg,
            rounds=rounds,
            local_epochs=epochs // rounds,
            shown=f"{rounds} rounds",
        ),
        _digest(digest, epochs, corrected=partition == "by-label"),
    ]


def _digest(app: Path, epochs: int, *, corrected: bool) -> Method:
    """Return DIGEST, with drift correction where the nodes' data differ."""
    return Method(
        name="digest",
        title="DIGEST",
        app=app,
        rounds=1,
        local_epochs=epochs,
        settings={"shards": SHARDS, "regions": 1, "drift-correction": corrected},
        shown=f"{SHARDS} shards" + (", drift correction" if corrected else ""),
    )


def run(
    superlink: SuperLink, method: Method, partition: str, on_log: Callable[[str], None]
) -> Outcome:
    """Run one method on one partition of the data."""
    name = f"{method.name}-{partition}"
    results = OUTPUT / f"{name}.json"
    results.unlink(missing_ok=True)
    run_app(
        superlink,
        method.app,
        name=name,
        run_config={
            "num-server-rounds": method.rounds,
            "local-epochs": method.local_epochs,
            "min-nodes": NODES,
            "learning-rate": LEARNING_RATE,
            "partition": partition,
            "results": str(results),
            **method.settings,
        },
        federation_config=simulation_of(NODES),
        timeout_seconds=RUN_SECONDS,
        on_log=on_log,
    )
    return read_outcome(method, partition, results)


def read_outcome(method: Method, partition: str, path: Path) -> Outcome:
    """Read the results that an app has written."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        return Outcome(
            method=method.name,
            title=method.title,
            settings=method.shown,
            partition=partition,
            accuracy_mean=results["accuracy_mean"],
            accuracy_worst=results["accuracy_worst"],
            wall_seconds=results["wall_seconds"],
            bytes_between_nodes=round(results["bytes_between_nodes"]),
            model_bytes_through_server_in_training=results[
                "model_bytes_through_server_in_training"
            ],
        )
    except (FileNotFoundError, json.JSONDecodeError, KeyError) as error:
        raise DigestError(f"{method.name} left no complete results in {path}: {error!r}") from error


@contextmanager
def shown(label: str) -> Iterator[Callable[[str], None]]:
    """Show that a run is under way; the yielded function takes the last line of its log."""
    columns = (
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[line]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=None, line="starting")

        def show(line: str) -> None:
            progress.update(task, line=plain(line)[: max(0, console.width - 40)])

        yield show


def plain(line: str) -> str:
    """Return a log line without its colors, its level and its frame."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    return re.sub(r"^[A-Z]+ *:", "", line).strip(" \t│├└─>")


def run_all(superlink: SuperLink, chosen: Mapping[str, Sequence[Method]]) -> list[Outcome]:
    """Run the methods chosen for each kind of data."""
    outcomes = []
    for partition, methods_for_it in chosen.items():
        for method in methods_for_it:
            with shown(f"{method.title}, {partition}") as on_log:
                outcome = run(superlink, method, partition, on_log)
            console.print(
                f"{method.title}, {partition}: accuracy {outcome.accuracy_mean:.3f} "
                f"after {outcome.wall_seconds:.0f} s"
            )
            outcomes.append(outcome)
    return outcomes


def table(outcomes: Sequence[Outcome], passes: int) -> Table:
    """Put the runs side by side."""
    shape = Table(
        title=f"{NODES} nodes, {passes} passes over each node's data",
        caption="The time includes Flower's own: it asks for replies every 3 s, twice a round.",
    )
    shape.add_column("method")
    shape.add_column("data", no_wrap=True)
    for heading in (
        "accuracy\n(mean)",
        "accuracy\n(worst)",
        "time\n(s)",
        "between\nnodes (kB)",
        "through\nserver\n(kB)",
    ):
        shape.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        shape.add_row(
            f"{outcome.title}: {outcome.settings}",
            outcome.partition,
            f"{outcome.accuracy_mean:.3f}",
            f"{outcome.accuracy_worst:.3f}",
            f"{outcome.wall_seconds:.1f}",
            f"{outcome.bytes_between_nodes / 1000:,.0f}",
            f"{outcome.model_bytes_through_server_in_training / 1000:,.0f}",
        )
    return shape


def write_summary(outcomes: Sequence[Outcome]) -> Path:
    """Write the results in one step, so that nobody reads half of them."""
    path = OUTPUT / "summary.json"
    draft = path.with_suffix(".tmp")
    summary = {"results": [asdict(outcome) for outcome in outcomes]}
    draft.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, path)
    return path


def compare(chosen: Mapping[str, Sequence[Method]]) -> None:
    """Run the methods on a Flower of our own, show the results, and leave nothing running."""
    superlink = SuperLink(simulation=True, log_dir=OUTPUT)
    with superlink:
        outcomes = run_all(superlink, chosen)
    if left := superlink.leftover_processes():
        raise DigestError(f"still running: {'; '.join(each.command for each in left)}")
    summary = write_summary(outcomes)
    one = next(method for some in chosen.values() for method in some)
    console.print(table(outcomes, passes=one.rounds * one.local_epochs))
    console.print(f"Done, and nothing is left running. Results: {summary}", soft_wrap=True)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="FedAvg and DIGEST side by side.")
    parser.add_argument("--quick", action="store_true", help="a few passes only, to see it work")
    parser.add_argument("--only", choices=["fedavg", "digest"], help="run one of the two")
    return parser.parse_args()


def end_in_order(number: int, _frame: FrameType | None) -> None:
    """Let a SIGTERM unwind the stack, so that all that was started is stopped."""
    sys.exit(128 + number)


def main() -> int:
    """Run the demo; return the exit status."""
    signal.signal(signal.SIGTERM, end_in_order)
    options = arguments()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    chosen = {
        partition: [
            method
            for method in methods(partition, quick=options.quick)
            if options.only in (None, method.name)
        ]
        for partition in ("iid", "by-label")
    }
    try:
        compare(chosen)
    except DigestError as error:
        # The first line says it all; what follows it is the end of a log.
        errors.print(f"The demo failed: {str(error).splitlines()[0]}", style="red")
        return 1
    except KeyboardInterrupt:
        errors.print("Interrupted; all that was started has been stopped.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
