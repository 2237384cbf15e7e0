"""Mistakes on the command line, each told in one line."""

from __future__ import annotations

import click

NAME = "flwr-digest"

_HINT = " Did you mean "


def one_line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def usage_line(error: click.ClickException) -> str:
    """Return what is wrong with the command line, with what comes nearest and where to look."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else NAME
    return f"{_hinted_once(one_line(error.format_message()))} See {path} --help."


def _hinted_once(message: str) -> str:
    """Return a sentence without its second hint: click and typer both add one to some."""
    message = _HINT.join(message.split(_HINT)[:2])
    return message if message.endswith((".", "?")) else f"{message}."
