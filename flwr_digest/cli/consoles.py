"""Where the command writes to: results to stdout, all else to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

PIPE_COLUMNS = 160
"""Width where stdout is no terminal: all columns of the widest table, a guess for labels."""


def results_console() -> Console:
    """Return the console for tables; piped, it is as wide as they need."""
    console = Console(markup=False, highlight=False)
    if console.is_terminal:
        return console
    return Console(markup=False, highlight=False, width=PIPE_COLUMNS)


def notes_console() -> Console:
    """Return the console for progress and errors."""
    return Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def write_json(document: dict[str, Any]) -> None:
    """Write a JSON document to stdout."""
    sys.stdout.write(json_text(document))


def json_text(document: object) -> str:
    """Return JSON as other programs take it: what is not finite is refused with a `ValueError`."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
