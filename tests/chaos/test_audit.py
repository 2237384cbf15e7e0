"""An audit of journals must find what is wrong in them: here they are doctored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.audit import Audit, Findings, end_troubles
from tests.chaos.journal import Begun, Copy, Counts, Ended, Line, Writer
from tests.chaos.setup import Setup

SETUP = Setup(nodes=2, topology="ring", lives=2)
HALF = 0.5  # the weight of each of two nodes


def copy_at(at: float, node: int, hop: int, steps: dict[int, int], **changes: object) -> Copy:
    """Return a line: both nodes have been visited last at `hop` - 1 and `hop`, with these steps."""
    visits = [[n, 1, hop - (n != node), hop - (n != node), s] for n, s in steps.items()]
    line = Copy(
        at=at,
        node=node,
        life=1,
        made=steps.get(node, 0),
        known=steps.get(node, 0),
        stream=0,
        order=[1, 0, hop],
        visits=visits,
        model=[[n, HALF * s] for n, s in steps.items() if s],
    )
    return replace(line, **changes)  # type: ignore[arg-type]


def ended(at: float, node: int, made: int) -> Ended:
    return Ended(
        at=at,
        node=node,
        life=1,
        made=[made],
        ending="the session closed",
        left=False,
        unshared=0,
    )


ONE: list[Line] = [
    Begun(at=0.0, node=0, life=1, known=[0]),
    copy_at(1.0, 0, 1, {0: 3}),
    copy_at(3.0, 0, 3, {0: 5, 1: 4}),
    copy_at(4.0, 0, 3, {0: 5, 1: 4}, closed=True, held=True),
    ended(5.0, 0, 5),
]
OTHER: list[Line] = [
    Begun(at=0.1, node=1, life=1, known=[0]),
    copy_at(2.0, 1, 2, {0: 3, 1: 4}),
    copy_at(4.1, 1, 4, {0: 5, 1: 4}, order=[1, 0, 4], closed=True),
    ended(5.1, 1, 4),
]


def written(folder: Path, *journals: list[Line]) -> list[Path]:
    paths = []
    for number, lines in enumerate(journals):
        paths.append(folder / f"{number}.jsonl")
        writer = Writer(paths[-1])
        for line in lines:
            writer.write(line)
    return paths


def audited(folder: Path, *journals: list[Line]) -> Findings:
    return Audit(SETUP, written(folder, *journals)).run()


def doctored(lines: list[Line], index: int, **changes: object) -> list[Line]:
    line = replace(lines[index], **changes)  # type: ignore[arg-type]
    return [*lines[:index], line, *lines[index + 1 :]]


def test_sound_journals_pass(tmp_path: Path) -> None:
    found = audited(tmp_path, ONE, OTHER)

    assert found.troubles == []
    assert found.double_counted == 0
    assert found.copies == 5


def test_steps_that_are_counted_twice_are_found(tmp_path: Path) -> None:
    found = audited(tmp_path, ONE, doctored(OTHER, 1, model=[[0, HALF * 6], [1, HALF * 4]]))

    assert found.double_counted == 3
    assert "counted twice" in found.troubles[0]


def test_a_step_that_is_lost_is_found(tmp_path: Path) -> None:
    found = audited(tmp_path, ONE, doctored(OTHER, 1, model=[[0, HALF * 2], [1, HALF * 4]]))

    assert found.double_counted == 0
    assert "lost" in found.troubles[0]


def test_a_step_that_is_contained_in_part_is_found(tmp_path: Path) -> None:
    found = audited(tmp_path, ONE, doctored(OTHER, 1, model=[[0, HALF * 2.5], [1, HALF * 4]]))

    assert "in part" in found.troubles[0]


def test_steps_that_were_not_yet_made_are_found(tmp_path: Path) -> None:
    """Of those that its neighbor has made by then, and written down, it can contain three."""
    early = copy_at(0.5, 1, 2, {0: 3, 1: 4})

    found = audited(tmp_path, ONE, [OTHER[0], early])

    assert found.double_counted == 3
    assert "0 made" in found.troubles[0]


def test_work_that_was_given_up_may_be_missing_but_not_be_there_twice(tmp_path: Path) -> None:
    gave_up = Counts(forfeited_steps=1)
    fewer, more = ([[0, HALF * steps], [1, HALF * 4]] for steps in (2, 4))
    (tmp_path / "less").mkdir()

    less = audited(tmp_path / "less", ONE, doctored(OTHER[:2], 1, model=fewer, counts=gave_up))
    twice = audited(tmp_path, ONE, doctored(OTHER[:2], 1, model=more, counts=gave_up))

    assert less.troubles == []
    assert less.total("forfeited_steps") == 1
    assert twice.double_counted == 1


def test_two_copies_that_nothing_tells_apart_are_found(tmp_path: Path) -> None:
    twin = copy_at(4.05, 0, 3, {0: 6, 1: 4})

    found = audited(tmp_path, [*ONE[:3], twin, *ONE[4:]], OTHER)

    assert found.troubles == [
        "stream 0: two copies Order(fence=Fence(generation=1, node=0), hop=3) with other work"
    ]


def test_what_a_killed_process_wrote_last_was_perhaps_never_heard_of(tmp_path: Path) -> None:
    begun = Begun(at=3.5, node=0, life=1, known=[3])
    again: list[Line] = [begun, copy_at(4.0, 0, 3, {0: 4, 1: 4})]

    found = audited(tmp_path, ONE[:3], again, OTHER[:2])

    assert found.troubles == []


def test_steps_of_which_a_restarted_node_knows_nothing_count_twice_if_told(tmp_path: Path) -> None:
    again: list[Line] = [Begun(at=3.5, node=0, life=1, known=[3])]
    late = copy_at(3.6, 1, 4, {0: 5, 1: 4})

    found = audited(tmp_path, ONE[:3], again, [*OTHER[:2], late])

    assert found.double_counted == 2


def test_an_end_in_peace_passes(tmp_path: Path) -> None:
    assert end_troubles(SETUP, written(tmp_path, ONE, OTHER), [0, 1]) == []


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({"model": [[0, HALF * 5], [1, HALF * 3]]}, "another model"),
        ({"held": True}, "live at [0, 1]"),
        ({"closed": False}, "node 1 still awaits stream 0"),
    ],
)
def test_an_end_that_is_none_is_found(
    tmp_path: Path, changes: dict[str, object], trouble: str
) -> None:
    found = end_troubles(SETUP, written(tmp_path, ONE, doctored(OTHER, 2, **changes)), [0, 1])

    assert any(trouble in each for each in found), found


def test_work_that_is_missing_at_the_end_is_found(tmp_path: Path) -> None:
    found = end_troubles(SETUP, written(tmp_path, ONE, doctored(OTHER, 3, made=[6])), [0, 1])

    assert found == ["stream 0 ended with 4.0 steps of node 1, which made 6 and gave 0 up"]


def test_a_node_that_never_ends_is_found(tmp_path: Path) -> None:
    found = end_troubles(SETUP, written(tmp_path, ONE, OTHER[:3]), [0, 1])

    assert "node 1 has not ended" in found
