"""Visits: what is kept of a copy afterwards, what is told, and when there is nothing to settle."""

from __future__ import annotations

import networkx as nx
import pytest

from flwr_digest.core.effects import Notice, NoticeKind, Rebase
from flwr_digest.core.ids import NO_FENCE
from flwr_digest.core.kept import KeptCopy
from flwr_digest.core.state import Counters
from flwr_digest.core.stream import Tour, Visit
from flwr_digest.core.visits import MOST_REPLACEMENTS, Visits
from flwr_digest.errors import LocalProtocolError
from tests.unit.core.builders import (
    LIFE,
    OTHER,
    SHARD,
    STREAM,
    A,
    B,
    C,
    config,
    node_of,
    of_kind,
    steps,
    stream,
    topology_of,
    vector,
    visiting,
)

ALL = frozenset({B, C})
SEEN = Tour(seen=ALL)
UNKNOWN = Visit(life=LIFE, number=77, hop=3, steps=1)  # a visit that its history does not have
REGIONS = {STREAM: visiting({A, B}), OTHER: visiting({B, C})}


def visits(*, member: bool = True, regions: bool = False) -> Visits:
    """Return what settles visits at A, or at B between two regions."""
    path = topology_of(nx.path_graph(3))
    plan = config(node_id=B, topology=path, streams=REGIONS) if regions else config()
    shard = node_of(plan).shards[SHARD] if member else None
    copy = KeptCopy(node_id=plan.node_id, stream=stream(), highest=NO_FENCE)
    return Visits(config=plan, copy=copy, shard=shard, counters=Counters())


def make_steps(made: Visits, count: int) -> None:
    assert made.shard is not None
    made.shard.take_in(steps(count))


def end_training(made: Visits) -> None:
    assert made.shard is not None
    made.shard.trained = True


def test_the_copy_takes_in_what_it_lacks_and_the_node_goes_on_from_it() -> None:
    made = visits()
    make_steps(made, 3)
    (rebase,) = of_kind(Rebase, made.settle(stream(hop=4, model=vector(10), tour=SEEN), 1.0))
    kept = made.copy.stream
    assert (kept.model, rebase.model, kept.hop) == (vector(13), vector(13), 5)
    assert kept.tour.seen == {A, B, C}
    assert made.counters.visits == 1


def test_there_is_news_where_steps_were_made_since_or_training_has_ended() -> None:
    made = visits()
    made.settle(stream(hop=4), 1.0)
    assert not made.has_news(2.0)
    make_steps(made, 1)
    assert made.has_news(3.0)
    made.settle(made.copy.stream, 3.0)
    assert not made.has_news(4.0)
    end_training(made)
    assert made.has_news(5.0)
    made.settle(made.copy.stream, 5.0)
    assert made.copy.stream.finished == {A}
    assert not made.has_news(6.0)


def test_a_last_tour_goes_on_only_where_nothing_is_new() -> None:
    made = visits()
    end_training(made)
    made.settle(stream(hop=4, closing=True), 1.0)
    assert made.copy.stream.closing
    again = visits()
    make_steps(again, 1)
    end_training(again)
    again.settle(stream(hop=4, closing=True), 1.0)
    assert not again.copy.stream.closing


def test_what_is_given_up_is_told() -> None:
    made = visits()
    make_steps(made, 3)
    (notice,) = of_kind(Notice, made.settle(stream(hop=50, visits={A: UNKNOWN}), 1.0))
    assert (notice.kind, notice.steps) == (NoticeKind.FORFEITED, made.counters.forfeited_steps)
    assert notice.steps > 0


def test_between_regions_nothing_is_given_up_and_in_the_end_it_only_passes() -> None:
    made, kinds = visits(regions=True), []
    for turn in range(MOST_REPLACEMENTS + 1):
        before = made.copy.stream
        effects = made.settle(stream(hop=50, visits={B: UNKNOWN}), float(turn))
        kinds += [notice.kind for notice in of_kind(Notice, effects)]
    assert kinds == [NoticeKind.REPLACED] * MOST_REPLACEMENTS + [NoticeKind.HISTORY_LOST]
    assert made.shard is None
    assert made.remembered is before  # with which the account still agrees
    assert made.copy.stream.finished == {B}  # it has nothing more to bring


def test_where_the_stream_only_passes_it_takes_nothing_and_leaves_no_trace() -> None:
    made = visits(member=False)
    assert made.settle(stream(hop=4, model=vector(10), tour=SEEN), 1.0) == []
    kept = made.copy.stream
    assert (kept.model, kept.hop, dict(kept.visits)) == (vector(10), 5, {})
    assert not made.has_news(2.0)
    assert (made.trained, made.finished, made.steps) == (True, True, 0)
    with pytest.raises(LocalProtocolError, match="no member"):
        made.account  # noqa: B018
