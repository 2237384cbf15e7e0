"""`relay`: what is made of the turns, and the hops of all ways, small."""

from __future__ import annotations

import pytest

from flwr_digest.benches.ends import Meeting, Way
from flwr_digest.benches.forwarding import FORWARDING
from flwr_digest.benches.naive import NAIVE_MTLS
from flwr_digest.benches.overlay_hop import OVERLAY_MTLS
from flwr_digest.benches.pairs import Pair, Turn
from flwr_digest.benches.raw_tcp import RAW_TCP
from flwr_digest.benches.relay import WAYS, pairs_of, speed_of
from flwr_digest.core.ids import NodeId
from flwr_digest.errors import DigestError
from flwr_digest.overlay.identity import new_identity

SIZE = 1000
GB = 1e9


def turn(seconds: float, cpu: float = 1.0) -> Turn:
    return Turn(seconds=[seconds, seconds, 99.0], cpu_seconds=cpu)


def test_figures_are_medians_and_ratios_those_of_each_round() -> None:
    turns = {way.name: [turn(1.0), turn(1.0), turn(1.0)] for way in WAYS}
    turns["overlay"] = [turn(2.0, 3.0), turn(4.0, 6.0), turn(8.0, 9.0)]
    turns["naive"] = [turn(8.0), turn(8.0), turn(40.0)]

    speed = speed_of(SIZE, "insecure", turns, (1500, 250))

    assert speed.p50_ms == 4000.0
    assert speed.over_raw_tcp == 0.25
    assert speed.over_naive == 4.0
    assert speed.cpu_seconds_per_gb == pytest.approx(6 / (3 * SIZE / GB))
    assert speed.with_visit_cpu_seconds_per_gb == pytest.approx(1 / (2 * 3 * SIZE / GB))
    assert (speed.receiver_memory, speed.sender_memory) == (0.5, 0.25)


def test_where_the_system_does_not_tell_there_is_no_figure_of_memory() -> None:
    turns = {way.name: [turn(1.0)] for way in WAYS}

    speed = speed_of(SIZE, "mtls", turns, None)

    assert speed.sender_memory is None
    assert speed.receiver_memory is None


@pytest.mark.parametrize("way", [RAW_TCP, NAIVE_MTLS, OVERLAY_MTLS, FORWARDING], ids=str)
def test_models_of_several_sizes_go_every_way(way: Way) -> None:
    sizes = (10, 70_000)
    with Pair(way, sizes, (new_identity(NodeId(0)), new_identity(NodeId(1)))) as pair:
        for values in sizes:
            pair.prepare(values)
            found = pair.turn(2)

            assert len(found.seconds) == 2
            assert min(found.seconds) > 0
            assert found.cpu_seconds >= 0  # of so little it may be less than can be measured


def test_each_way_has_a_name_of_its_own() -> None:
    assert len({way.name for way in WAYS}) == len(WAYS)


class Sick:
    """An end that cannot hop."""

    def __init__(self, meeting: Meeting) -> None:
        self.meeting = meeting

    def prepare(self, values: int) -> None:
        """Do nothing."""

    def hop(self) -> None:
        """Fail."""
        raise DigestError("it is sick")

    def close(self) -> None:
        """Do nothing."""


def test_an_end_that_fails_is_named_with_its_reason() -> None:
    way = Way(name="sick", receive=Sick, send=Sick)
    identities = (new_identity(NodeId(0)), new_identity(NodeId(1)))
    with (
        Pair(way, (1,), identities) as pair,
        pytest.raises(DigestError, match=r"^sick, sender: it is sick$"),
    ):
        pair.turn(1)


def test_all_is_ended_where_one_cannot_begin() -> None:
    way = Way(name="broken", receive=RAW_TCP.receive, send=_refuses)
    with pytest.raises(DigestError, match=r"^broken, sender: no way$"), pairs_of([way], [4]):
        pass


def _refuses(meeting: Meeting) -> Sick:
    raise DigestError("no way")
