"""What a node remembers of its streams, as named arrays and back: what a state file holds.

Each stream has arrays of its own, ``<stream>/...``; one of them, ``about``, is JSON with all that
is no vector.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from flwr_digest.core.account import Account, Applied
from flwr_digest.core.cargo import Cargo
from flwr_digest.core.ids import Fence, NodeId, StreamId
from flwr_digest.core.state import StationState, reopened
from flwr_digest.core.stream import Stream, Visit
from flwr_digest.overlay.statefile import Arrays, StateFile

ABOUT = "about"


def json_array(fields: object) -> npt.NDArray[np.uint8]:
    """Return fields as JSON, UTF-8, in an array."""
    return np.frombuffer(json.dumps(fields).encode(), dtype=np.uint8)


def state_arrays(stream_id: StreamId, state: StationState) -> dict[str, npt.NDArray[Any]]:
    """Return a stream's state as named arrays; vectors that are equal objects stay so."""
    account = state.account
    cargos = {"kept": state.kept.cargo, "inflow": account.inflow}
    if account.deposit is not None:
        cargos["deposit"] = account.deposit
    cargos |= {f"applied/{n}": entry.inflow for n, entry in account.applied.items()}
    owns = {"own": account.own} | {f"own/{n}": entry.own for n, entry in account.applied.items()}
    cargos |= {name: own for name, own in owns.items() if own is not None}
    parts: dict[str, Any] = {ABOUT: json_array(_about(state))}
    for name, cargo in cargos.items():
        parts[name] = cargo.model
        if cargo.rate is not None:
            parts[f"{name}/rate"] = cargo.rate
    if state.rate is not None:
        parts["rate"] = state.rate
    return {f"{stream_id}/{name}": np.asarray(part) for name, part in parts.items()}


def states_from(arrays: Arrays) -> dict[StreamId, StationState]:
    """Return the states of all streams that there are arrays of.

    Raises
    ------
    AttributeError, KeyError, TypeError, ValueError
        The arrays are not those of states.
    """
    paths = [name.split("/") for name in arrays]
    streams = sorted(int(path[0]) for path in paths if path[0].isdigit() and path[1:] == [ABOUT])
    return {StreamId(stream): _state_from(stream, arrays) for stream in streams}


def save_states(file: StateFile, states: Mapping[StreamId, StationState]) -> None:
    """Write the states of all streams, flushed to the disk: before and after a session.

    Raises
    ------
    OSError
        They cannot be written; the file is what it was.
    """
    file.save({k: v for s, state in states.items() for k, v in state_arrays(s, state).items()})


def recalled(file: StateFile, life: int) -> dict[StreamId, StationState] | None:
    """Return the states with which a process goes on that was killed; None before the first.

    Where the file does not know all that was done, each account is opened anew, under `life` or a
    higher one (see `reopened`).

    Raises
    ------
    StateError
        The file is torn or foreign; it is kept aside.
    """
    loaded = file.load(states_from)
    if loaded is None or loaded.exact:
        return None if loaded is None else loaded.content
    lives = [state.account.life for state in loaded.content.values()]
    life = max([life, *(1 + old for old in lives)])
    return {stream_id: reopened(state, life) for stream_id, state in loaded.content.items()}


def _about(state: StationState) -> dict[str, Any]:
    kept, account = state.kept, state.account
    return {
        "life": account.life,
        "steps": account.steps,
        "entries": account.entries,
        "applied": {
            str(n): [list(entry.fence), entry.hop, entry.steps, entry.entries, entry.previous]
            for n, entry in account.applied.items()
        },
        "fence": list(kept.fence),
        "hop": kept.hop,
        "changes": kept.changes,
        "clock_seconds": kept.clock_seconds,
        "visits": {
            str(node): [v.life, v.number, v.hop, v.steps, v.born_seconds, v.behind]
            for node, v in kept.visits.items()
        },
        "highest": list(state.highest),
    }


def _state_from(stream: int, arrays: Arrays) -> StationState:
    about = json.loads(arrays[f"{stream}/{ABOUT}"].tobytes())

    def cargo(name: str) -> Cargo:
        name = f"{stream}/{name}"
        return Cargo(model=arrays[name], rate=arrays.get(f"{name}/rate"))

    def cargo_or_none(name: str) -> Cargo | None:
        return cargo(name) if f"{stream}/{name}" in arrays else None

    return StationState(
        account=Account(
            life=about["life"],
            inflow=cargo("inflow"),
            steps=about["steps"],
            entries=about["entries"],
            applied={
                int(n): _applied_from(row, cargo(f"applied/{n}"), cargo_or_none(f"own/{n}"))
                for n, row in about["applied"].items()
            },
            deposit=cargo_or_none("deposit"),
            own=cargo_or_none("own"),
        ),
        kept=_kept_from(StreamId(stream), cargo("kept"), about),
        highest=_fence(about["highest"]),
        rate=arrays.get(f"{stream}/rate"),
    )


def _kept_from(stream_id: StreamId, cargo: Cargo, about: Mapping[str, Any]) -> Stream:
    return Stream(
        stream_id=stream_id,
        model=cargo.model,
        rate=cargo.rate,
        fence=_fence(about["fence"]),
        hop=about["hop"],
        visits={NodeId(int(n)): _visit_from(row) for n, row in about["visits"].items()},
        changes=about["changes"],
        clock_seconds=about["clock_seconds"],
    )


def _applied_from(row: list[Any], inflow: Cargo, own: Cargo | None) -> Applied:
    fence, hop, steps, entries, previous = row
    return Applied(
        fence=_fence(fence),
        hop=hop,
        steps=steps,
        entries=entries,
        inflow=inflow,
        previous=previous,
        own=own,
    )


def _visit_from(row: list[Any]) -> Visit:
    life, number, hop, steps, born_seconds, behind = row
    return Visit(
        life=life, number=number, hop=hop, steps=steps, born_seconds=born_seconds, behind=behind
    )


def _fence(pair: list[int]) -> Fence:
    return Fence(pair[0], NodeId(pair[1]))
