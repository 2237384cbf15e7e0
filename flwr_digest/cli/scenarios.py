"""`flwr-digest scenarios`: what is built in."""

from __future__ import annotations

from rich.table import Table

from flwr_digest.cli.consoles import results_console
from flwr_digest.sim.scenarios import SCENARIOS


def scenarios() -> None:
    """List the built-in scenarios."""
    table = Table(box=None, pad_edge=False)
    table.add_column("scenario", no_wrap=True)
    table.add_column("nodes", justify="right")
    table.add_column("summary")
    for name, scenario in SCENARIOS.items():
        table.add_row(name, str(scenario.nodes), scenario.summary)
    results_console().print(table)
