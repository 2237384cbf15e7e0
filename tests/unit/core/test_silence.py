"""Neighbors that a live link leads to and that do not answer."""

from __future__ import annotations

import networkx as nx

from flwr_digest.core.effects import Effect, Send
from flwr_digest.core.events import Event
from flwr_digest.core.ids import NodeId
from flwr_digest.core.messages import Hop, Inquiry
from flwr_digest.core.silence import MOST_FACTOR, Silence
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Tour
from tests.support.world import World
from tests.unit.core.builders import STREAM, A, B, C, hop_in, station, topology_of

ALL = frozenset({B, C})
TOUR = Tour(seen=frozenset({A}))


# --- what is known of it --------------------------------------------------------------------------


def test_whoever_is_silent_does_not_answer_until_it_is_heard() -> None:
    silence = Silence()
    assert silence.answering(ALL) == ALL
    silence.begins(B, 1.0, 2.0)
    assert silence.answering(ALL) == {C}
    silence.ends(B)
    assert silence.answering(ALL) == ALL


def test_it_is_asked_ever_more_seldom() -> None:
    silence = Silence()
    silence.begins(B, 0.0, 1.0)
    asked = [at for at in range(40) if silence.to_ask(float(at)) == [B]]
    assert asked == [1, 3, 7, 15, 31]


def test_but_it_is_asked_for_ever() -> None:
    silence, now = Silence(), 0.0
    silence.begins(B, now, 1.0)
    for _ in range(20):
        now += MOST_FACTOR
        assert silence.to_ask(now) == [B]


def test_one_that_stays_silent_is_not_asked_sooner_for_it() -> None:
    silence = Silence()
    silence.begins(B, 0.0, 1.0)
    assert silence.to_ask(1.0) == [B]
    silence.begins(B, 1.5, 1.0)
    assert silence.to_ask(2.5) == []


# --- departures -----------------------------------------------------------------------------------


def test_who_was_silent_on_a_live_link_is_remembered() -> None:
    made = station(resends=0, first_receipt_seconds=3.0).departure
    made.send(B, TOUR, 0.0)
    assert hop_in(made.late(ALL, 3.0).effects)[0] == C
    assert made.silence.answering(ALL) == {C}


def test_a_broken_link_is_no_silence() -> None:
    made = station().departure
    made.send(B, TOUR, 0.0)
    assert hop_in(made.link_down(B, frozenset({C}), 1.0).effects)[0] == C
    assert made.silence.answering(ALL) == ALL


def test_the_wait_for_one_neighbor_makes_that_for_the_next_no_longer() -> None:
    made = station(resends=2).departure
    made.delays.receipt = made.delays.receipt.observed(1.0)
    assert made.delays.receipt.wait_seconds == 3.0
    made.send(B, TOUR, 0.0)
    for _ in range(2):
        made.late(ALL, 9.0)
    assert made.delays.receipt.wait_seconds == 12.0
    assert hop_in(made.late(ALL, 21.0).effects)[0] == C
    assert made.delays.receipt.wait_seconds == 3.0


def test_where_one_is_silent_the_next_is_not_waited_for_as_long() -> None:
    four = topology_of(nx.complete_graph(4))
    everyone = ALL | {NodeId(3)}
    made = station(topology=four, resends=1).departure
    made.send(B, TOUR, 0.0)
    assert hop_in(made.late(everyone, 3.0).effects)[0] == B
    next_one = hop_in(made.late(everyone, 9.0).effects)[0]
    assert next_one != B
    assert hop_in(made.late(everyone, 12.0).effects)[0] not in (B, next_one)


def test_where_nobody_answers_all_are_tried_in_turn() -> None:
    made = station(resends=0).departure
    made.send(B, TOUR, 0.0)
    peers = [hop_in(made.late(ALL, float(turn)).effects)[0] for turn in range(4)]
    assert peers == [C, B, C, B]


# --- a world in which one node hears nobody, and nobody it ----------------------------------------


class Deafness:
    """Three nodes; what goes to and from B is lost while it is deaf, and no link breaks."""

    def __init__(self) -> None:
        self.world = World(nx.complete_graph(3), local_steps=1)
        self.world.watch = self._watch
        self.deaf = True
        self.hops = self.questions = 0

    def _watch(self, world: World, node: NodeId, what: Event | Effect) -> None:
        if isinstance(what, Send) and what.peer == B:
            self.hops += isinstance(what.message, Hop)
            self.questions += isinstance(what.message, Inquiry)

    def go_on(self, turns: int) -> None:
        """Let all nodes train and messages go, a second each turn."""
        for _ in range(turns):
            self.world.now += 1.0
            for node in self.world.members:
                self.world.train(node)
            self._deliver()
            if any(station.outbound for station in self._stations()):
                self.world.fire_next_timer()
            self._deliver()

    def _stations(self) -> list[Station]:
        return [node.stations[STREAM] for node in self.world.nodes.values()]

    def _deliver(self) -> None:
        for _ in range(50):
            if not self.world.under_way:
                return
            wire = self.world.under_way[0]
            if self.deaf and B in (wire.sender, wire.receiver):
                self.world.drop(0)
            else:
                self.world.deliver(0)

    def visits_of(self, node: NodeId) -> int:
        return self.world.nodes[node].stations[STREAM].counters.visits


def test_a_silent_node_holds_up_one_tour_and_not_all() -> None:
    made = Deafness()

    made.go_on(60)

    assert made.visits_of(A) > 20
    assert made.visits_of(C) > 20
    assert made.hops <= 2 * 3  # each of its two neighbors has tried three times, once


def test_a_silent_node_is_asked_and_once_it_answers_it_is_visited_again() -> None:
    made = Deafness()
    made.go_on(60)
    visits, made.deaf = made.visits_of(B), False

    made.go_on(300)

    assert made.questions > 0
    assert made.visits_of(B) > visits + 10
    made.world.finish_session()
    made.world.work.check_end(list(made.world.nodes.values()))
