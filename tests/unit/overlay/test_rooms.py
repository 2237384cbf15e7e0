"""Room for what arrives."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from flwr_digest.overlay.rooms import MOST_ROOMS, Rooms


def place(room: np.ndarray) -> int:
    """Return where in memory a room is."""
    return int(room.__array_interface__["data"][0])


def test_a_room_is_used_again_once_nobody_refers_to_it() -> None:
    rooms = Rooms()
    room = rooms.of(100)
    first = place(room)
    del room

    assert place(rooms.of(100)) == first
    assert place(rooms.of(60)) == first


@pytest.mark.parametrize(
    "keep",
    [
        lambda room: room,
        lambda room: room[8:16],
        lambda room: room[:80].view(np.float32)[3:7].reshape(2, 2).T,
        lambda room: memoryview(room[4:]),
        lambda room: np.frombuffer(memoryview(room), dtype=np.float32),
    ],
    ids=["itself", "slice", "view of views", "memoryview", "array of a memoryview"],
)
def test_a_room_is_somebodys_as_long_as_any_view_of_it_is(keep: object) -> None:
    rooms = Rooms()
    room = rooms.of(100)
    first = place(room)
    assert callable(keep)
    kept = keep(room)
    del room

    assert place(rooms.of(100)) != first
    del kept
    others = [rooms.of(100) for _ in range(2)]
    assert first in map(place, others)


def test_a_tensor_of_a_room_keeps_it() -> None:
    torch = pytest.importorskip("torch")
    rooms = Rooms()
    room = rooms.of(100)
    first, tensor = place(room), torch.from_numpy(room)[:4]
    del room

    assert place(rooms.of(100)) != first
    del tensor


def test_all_that_are_had_at_once_are_different() -> None:
    rooms = Rooms()
    had = [rooms.of(64) for _ in range(3 * MOST_ROOMS)]
    for number, room in enumerate(had):
        room[:] = number

    assert [set(room) for room in had] == [{number} for number in range(3 * MOST_ROOMS)]


def test_sizes_that_differ_share_rooms_once_the_largest_is_known() -> None:
    rooms = Rooms()
    places = set()
    for size in (101, 100, 100, 101, 99):
        room = rooms.of(size)
        assert room.shape == (size,)
        places.add(place(room))
        del room

    assert len(places) == 1


def test_threads_never_get_the_same_room() -> None:
    rooms, torn = Rooms(), []

    def use(number: int) -> None:
        for _ in range(2000):
            room = rooms.of(16)
            room[:] = number
            if set(room) != {number}:
                torn.append(number)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not torn
