"""Asks Flower's command `flwr`, and reads what it answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from flwr_digest.errors import DigestError
from flwr_digest.launch.workspace import Workspace, flower_program

_COMMAND_SECONDS = 120.0
"""Flower's commands take 1 to 3 s (measured); so long only if something hangs."""


def ask_flwr(workspace: Workspace, arguments: Sequence[str]) -> dict[str, Any]:
    """Run one of Flower's commands, and return what it answers.

    Parameters
    ----------
    workspace : Workspace
        Its settings say where the SuperLink is.
    arguments : sequence of str
        What follows `flwr`; the answer is asked for as JSON.

    Raises
    ------
    DigestError
        The command fails, with what it says, or takes too long.
    """
    command = [flower_program("flwr"), *arguments, "--format", "json"]
    environment = workspace.environment("flwr")
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        raise DigestError(f"`flwr {arguments[0]}` took over {_COMMAND_SECONDS:g} s") from expired
    answer = _answer(done.stdout)
    if done.returncode != 0 or not answer.get("success"):
        said = str(answer.get("error-message") or done.stderr or done.stdout).splitlines()
        why = " ".join(line for line in said if line and not line.startswith("Using SuperLink"))
        raise DigestError(f"`flwr {arguments[0]}` failed: {why}")
    return answer


def _answer(output: str) -> dict[str, Any]:
    """Return the JSON object in a command's output; an empty one if there is none."""
    start = output.find("{")
    if start < 0:
        return {}
    try:
        answer, _ = json.JSONDecoder().raw_decode(output, start)
    except json.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}
