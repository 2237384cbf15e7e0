"""What the benches of the overlay have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from flwr_digest.benches.relay import VALUE_BYTES
from flwr_digest.cli.options import read_counts
from flwr_digest.errors import ConfigError
from flwr_digest.learning.checks import Range

COUNT = Range(whole=True, least=1)
SECONDS = Range(above=0.0)

Json = Annotated[bool, typer.Option("--json", help='Print only {"results": [...]} to stdout.')]


def read_sizes(option: str, text: str) -> list[int]:
    """Read different sizes of models in bytes; `ConfigError` for what no model has."""
    sizes = read_counts(option, text)
    for size in sizes:
        if size % VALUE_BYTES:
            raise ConfigError(
                f"{option} is {size}: it must be a multiple of {VALUE_BYTES}, as models are float32"
            )
    return sizes
