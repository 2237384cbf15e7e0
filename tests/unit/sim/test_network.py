"""Links are queues: when messages arrive, which are lost, and what is counted."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_digest.errors import ConfigError, LocalProtocolError
from flwr_digest.sim.faults import Absence, Loss, Outage
from flwr_digest.sim.network import Network

LINE = {0: frozenset({1}), 1: frozenset({0, 2}), 2: frozenset({1})}


def network(**fields: Any) -> Network:  # noqa: ANN401
    """Return 100 bytes per second and a latency of 1 s, unless said otherwise."""
    given_fields = {"bandwidth_bytes_per_second": 100.0, "latency_seconds": 1.0} | fields
    return Network(given_fields.pop("neighbors", LINE), **given_fields)


def test_a_message_takes_its_size_over_the_bandwidth_and_the_latency() -> None:
    assert network().send(0, 1, 200, 5.0) == 8.0
    assert network(latency_seconds=0).send(0, 1, 200, 5.0) == 7.0
    assert network().send(0, 1, 0, 5.0) == 6.0
    assert network(bandwidth_bytes_per_second=math.inf).send(0, 1, 200, 5.0) == 6.0


def test_a_message_waits_until_the_link_is_free_but_not_for_the_latency() -> None:
    links = network()
    assert links.send(0, 1, 200, 0.0) == 3.0
    assert links.send(0, 1, 100, 0.5) == 4.0
    assert links.send(0, 1, 100, 10.0) == 12.0


def test_links_and_directions_do_not_wait_for_each_other() -> None:
    links = network()
    assert links.send(1, 0, 200, 0.0) == links.send(0, 1, 200, 0.0) == 3.0
    assert links.send(1, 2, 200, 0.0) == 3.0


def test_only_neighbors_have_a_link() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        network().send(0, 2, 1, 0.0)
    assert str(caught.value) == "nodes 0 and 2 have no link"
    assert not network().is_up(0, 2, 0.0)


@pytest.mark.parametrize("fields", [{"neighbors": None}, {"ideal": True}])
def test_everyone_may_have_a_link_to_everyone(fields: dict[str, object]) -> None:
    links = network(**fields)
    assert links.is_up(0, 2, 0.0)
    assert links.send(0, 17, 100, 0.0) == 2.0
    assert links.send(0, 17, 100, 0.0) == 3.0


def test_all_that_is_sent_is_counted_by_link() -> None:
    links = network()
    for sender, receiver, size in [(0, 1, 100), (0, 1, 50), (1, 0, 7)]:
        links.send(sender, receiver, size, 0.0)
    assert (links.bytes_sent, links.messages_sent) == (157, 3)
    assert links.bytes_by_link() == {(0, 1): 150, (1, 0): 7}
    assert links.messages_by_link() == {(0, 1): 2, (1, 0): 1}


def test_asking_about_a_link_is_not_using_it() -> None:
    links = network()
    assert links.is_up(0, 1, 0.0)
    assert links.bytes_by_link() == links.messages_by_link() == {}


def test_as_many_messages_get_lost_as_asked_for() -> None:
    links = network(loss=0.3)
    lost = [links.send(0, 1, 100, 0.0) is None for _ in range(5000)]
    assert sum(lost) / 5000 == pytest.approx(0.3, abs=0.02)
    assert links.messages_sent == 5000


def test_a_lost_message_takes_its_time_all_the_same() -> None:
    links = network(loss=0.5)
    for number in range(200):
        assert links.send(0, 1, 100, 0.0) in (None, number + 2.0)


def test_which_messages_get_lost_depends_on_the_seed_and_their_own_link_only() -> None:
    def lost(links: Network) -> list[bool]:
        return [links.send(0, 1, 1, 0.0) is None for _ in range(200)]

    busy = network(loss=0.5, seed=1)
    for _ in range(77):
        busy.send(1, 0, 1, 0.0)
        busy.send(1, 2, 1, 0.0)
    expected = lost(network(loss=0.5, seed=1))
    assert lost(busy) == expected
    assert lost(network(loss=0.5, seed=2)) != expected


def test_a_message_is_lost_if_the_link_is_down_at_any_moment_of_its_way() -> None:
    down = Outage(start_seconds=10, end_seconds=20, links=((0, 1),))

    def arrival(at: float) -> float | None:
        return network(outages=[down]).send(0, 1, 200, at)

    assert arrival(6.9) == pytest.approx(9.9)
    assert arrival(7.0) is None  # it arrives at the moment the link goes
    assert arrival(9.0) is None
    assert arrival(15.0) is None
    assert arrival(20.0) == 23.0
    assert network(outages=[down]).send(1, 2, 200, 15.0) == 18.0


def test_a_link_is_down_from_the_start_of_an_outage_until_just_before_its_end() -> None:
    links = network(outages=[Outage(start_seconds=10, end_seconds=20, links=((1, 0),))])
    found = [links.is_up(0, 1, at) for at in (9.9, 10, 19.9, 20)]
    assert found == [True, False, False, True]
    assert links.is_up(1, 2, 15)


def test_all_links_of_a_node_that_is_away_are_down() -> None:
    links = network(absences=[Absence(node=1, start_seconds=10, end_seconds=20)])
    assert not links.is_up(0, 1, 15)
    assert not links.is_up(2, 1, 15)
    assert links.send(1, 2, 100, 15) is None
    assert [links.is_present(1, at) for at in (9, 10, 20)] == [True, False, True]
    assert links.is_present(0, 15)


def test_an_ideal_network_has_no_faults() -> None:
    links = network(
        ideal=True,
        loss=0.9,
        outages=[Outage(start_seconds=0, end_seconds=9, links=((0, 1),))],
        absences=[Absence(node=1, start_seconds=0, end_seconds=9)],
    )
    assert all(links.send(0, 1, 0, 0.0) == 1.0 for _ in range(100))
    assert links.is_present(1, 5)
    assert links.changes() == []


def test_a_sure_message_waits_for_the_link() -> None:
    links = network(outages=[Outage(start_seconds=10, end_seconds=20, nodes=(0,))])
    assert links.send_surely(0, 1, 100, 15.0) == 22.0
    assert links.messages_sent == 1


def test_a_sure_message_is_sent_again_when_its_receipt_is_missing() -> None:
    links = network(outages=[Outage(start_seconds=10, end_seconds=10.5, nodes=(0,))])
    # On the link from 9 to 10, then lost; the receipt would have come at 12.
    assert links.send_surely(0, 1, 100, 9.0) == 14.0
    assert (links.messages_sent, links.bytes_sent) == (2, 200)


@given(times=st.lists(st.floats(0, 50), max_size=20), seed=st.integers(0, 9))
def test_sure_messages_arrive_in_the_order_in_which_they_are_sent(
    times: list[float], seed: int
) -> None:
    faults = [Outage(start_seconds=5 * k, end_seconds=5 * k + 2, nodes=(0,)) for k in range(1, 9)]
    links = network(loss=0.5, outages=faults, seed=seed)
    arrivals = [links.send_surely(0, 1, 50, at) for at in sorted(times)]
    for sent, arrival in zip(sorted(times), arrivals, strict=True):
        assert arrival >= sent + 1.5
        assert links.is_up(0, 1, arrival)
    assert arrivals == sorted(arrivals)
    assert links.messages_sent >= len(times)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("bandwidth_bytes_per_second", 0.0, "it must be above 0"),
        ("bandwidth_bytes_per_second", math.nan, "it must be above 0"),
        ("latency_seconds", -1.0, "it must be a number of 0 or more"),
        ("loss", 1.0, "it must be a number of 0 or more and below 1"),
    ],
)
def test_what_is_out_of_range_is_refused(field: str, value: float, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        network(**{field: value})
    assert str(caught.value) == f"{field} is {value}: {words}"


def test_a_link_loses_more_for_a_while_and_no_other_does() -> None:
    spell = Loss(start_seconds=10, end_seconds=20, links=((0, 1),), share=0.999)
    links = network(losses=[spell], bandwidth_bytes_per_second=math.inf)
    assert links.send(0, 1, 1, 9.0) == 10.0
    assert [links.send(1, 0, 1, float(at)) for at in range(10, 20)] == [None] * 10
    assert links.send(1, 2, 1, 15.0) == 16.0
    assert links.send(0, 1, 1, 20.0) == 21.0


def test_losses_at_any_time_are_the_same_with_or_without_a_spell() -> None:
    spell = Loss(start_seconds=100, end_seconds=101, links=((0, 1),), share=0.9)
    with_spell, without = network(loss=0.5, losses=[spell], seed=3), network(loss=0.5, seed=3)
    for at in range(0, 90, 3):
        assert with_spell.send(0, 1, 1, float(at)) == without.send(0, 1, 1, float(at))


def test_a_spell_of_losses_is_of_links_that_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        network(losses=[Loss(start_seconds=0, end_seconds=1, links=((0, 2),), share=0.5)])
    assert str(caught.value) == "losses.links has [0, 2]: the topology has no such link"
