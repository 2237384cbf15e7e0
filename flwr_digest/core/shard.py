"""One shard at one node: local steps on their way into the accounts, and news between regions.

The steps wait in a ledger until a visit finds the gate open; then they go into the account of each
of the shard's streams that visit this node. At a gateway what one of these has learned elsewhere
goes into the accounts of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from flwr_digest.core.account import Account, contribute, deposit, pass_on
from flwr_digest.core.config import NodeConfig
from flwr_digest.core.effects import Rebase
from flwr_digest.core.events import LocalSteps
from flwr_digest.core.ids import Fence, NodeId, ShardId, StreamId
from flwr_digest.core.ledger import Ledger
from flwr_digest.core.news import NO_NEWS, News, news_of_others
from flwr_digest.core.stream import Stream, Visit
from flwr_digest.core.vector import Vector

RATE_WINDOW_STEPS = 20
"""A rate is the mean gradient of at least so many local steps. 20: measured; with fewer, noise."""


class Content(NamedTuple):
    """Equal for copies of a stream with equal cargo."""

    fence: Fence
    changes: int


def content_of(stream: Stream) -> Content:
    """Return what tells the copy's cargo from others."""
    return Content(stream.fence, stream.changes)


@dataclass(kw_only=True, slots=True)
class Region:
    """What a node knows of one of the streams that visit it.

    Attributes
    ----------
    account : Account
        What the node has for the stream, and has given.
    news : News
        How old the stream's news of other nodes was at its last visit, by the driver's clock.
    content : Content or None
        With what content the stream left here last; None before.
    complete : bool
        Whether all other members, and all behind them, had finished training.
    side : frozenset of NodeId
        At a gateway: the other nodes whose work the stream brings here.
    told : mapping of NodeId to Visit, or None
        Of these, up to which visit their work was passed on to the other regions: none of those
        that it does not name. None where that is not known.
    """

    account: Account
    news: News = NO_NEWS
    content: Content | None = None
    complete: bool = False
    side: frozenset[NodeId] = frozenset()
    told: Mapping[NodeId, Visit] | None = None


@dataclass(kw_only=True, slots=True)
class Shard:
    """A slice of the node's model, and the streams that visit the node with it.

    Attributes
    ----------
    config : NodeConfig
        The node's part of the plan.
    shard_id : ShardId
        Which slice.
    regions : dict of StreamId to Region
        The streams of this slice that the node is a member of; a gateway has several.
    ledger : Ledger
        Local steps that no account has yet.
    trained : bool
        Whether the node has finished training.
    blind : bool
        Whether the node came back without knowing what it had passed on between regions. Then it
        passes on nothing in this session, and the next begins a new epoch: whatever a stream
        brings, another life of this node may have passed on, and an older copy may bring it as if
        it were new.
    """

    config: NodeConfig
    shard_id: ShardId
    regions: dict[StreamId, Region]
    ledger: Ledger = field(default_factory=Ledger)
    trained: bool = False
    blind: bool = False

    @property
    def gateway(self) -> bool:
        """Whether news passes between regions here."""
        return len(self.regions) > 1

    def take_in(self, event: LocalSteps) -> None:
        """Note local steps."""
        gradients = event.gradients if self.config.drift_correction else None
        self.ledger = self.ledger.handed_in(event.steps, event.displacement, gradients)

    def bank(self, now: float) -> None:
        """Bring the accounts up to date, if the gate is open."""
        if not (self.trained or self.gate_open(now)):
            return
        steps, weight = self.ledger.pending_steps, self.config.weight
        self.ledger, cargo = self.ledger.banked(RATE_WINDOW_STEPS, now)
        if cargo is not None:
            for region in self.regions.values():
                region.account = contribute(region.account, cargo, steps, weight)

    def closed_books(self) -> tuple[dict[StreamId, Account], Vector | None]:
        """Return the accounts with all steps in them, also those the gate holds, and the rate."""
        steps, weight = self.ledger.pending_steps, self.config.weight
        ledger, cargo = self.ledger.banked(RATE_WINDOW_STEPS, now=0.0)
        accounts = {stream_id: region.account for stream_id, region in self.regions.items()}
        if cargo is not None:
            accounts = {s: contribute(each, cargo, steps, weight) for s, each in accounts.items()}
        return accounts, ledger.rate

    def gate_open(self, now: float) -> bool:
        """Whether the last contribution is as long ago as news takes to travel."""
        last = self.ledger.banked_at
        if not (self.config.gate and self.config.regional) or last is None:
            return True
        age = self.news_age_seconds(now)
        return age is None or now - last >= age

    def news_age_seconds(self, now: float) -> float | None:
        """How old this node's news of the others is, on the average; None before any has come."""
        news = NO_NEWS
        for region in self.regions.values():
            news = news.joined(region.news)
        return now - news.born_seconds if news.nodes else None

    def news_for(self, stream_id: StreamId, now: float) -> News:
        """Return what a visit of that stream takes along: of this node and of other regions."""
        news = News(1, now)
        for other, region in self.regions.items():
            if other != stream_id:
                news = news.joined(region.news)
        return news

    def with_told(self, stream: Stream) -> Stream:
        """Return a stream after its visit with whose work of other regions it contains by now.

        So a stream tells of every node of the session how much of its work it contains. What was
        passed on before and is called back by now, as an older copy has taken the place of one,
        it does not contain any more.
        """
        visits = dict(stream.visits)
        for other, region in self.regions.items():
            if other != stream.stream_id and region.told is not None:
                visits = {n: visit for n, visit in visits.items() if n not in region.side}
                visits.update(region.told)
        return replace(stream, visits=visits)

    def recall(self, stream: Stream) -> None:
        """Note what a copy contains of the nodes on its side that was passed on from here."""
        region = self.regions[stream.stream_id]
        region.told = {
            node: replace(visit, born_seconds=0.0, behind=0)  # the gateway's own has told the age
            for node, visit in stream.visits.items()
            if node in region.side
        }

    def visited_by(self, stream: Stream, came_with: Content, offset_seconds: float) -> bool:
        """Note what a stream knows after a visit, and pass on to other regions what is new.

        `came_with` is the content that the stream had before the visit: what it only took in here
        is nothing new to the others.

        Returns
        -------
        bool
            Whether that was done; False where the memory of what was passed on before is lost:
            while `blind`, and once in the next session, for all that came in between.
        """
        region = self.regions[stream.stream_id]
        region.news = news_of_others(stream, self.config.node_id, offset_seconds)
        if not self.gateway:
            return True
        members = self.config.streams[stream.stream_id].members
        region.complete = members - {self.config.node_id} <= stream.finished
        known, region.content = region.content, content_of(stream)
        if came_with == known:
            return True
        if self.blind:
            return False
        region.account, change = deposit(region.account, stream)
        if change is None:
            return False
        self.recall(stream)
        for other_id, other in self.regions.items():
            if other_id != stream.stream_id:
                other.account = pass_on(other.account, change)
        return True

    def ended(self, stream_id: StreamId) -> None:
        """Note that a stream's last tour is over: nothing more comes from its region.

        The last visit here need not have said so: members that were given up as missing may have
        been reached on the last tour after all.
        """
        self.regions[stream_id].complete = True

    def finished_for(self, stream_id: StreamId) -> bool:
        """Whether this node, and all that a stream hears of through it, will train no more."""
        others = (region for other, region in self.regions.items() if other != stream_id)
        return self.trained and all(region.complete for region in others)

    def rebase(self, stream: Stream) -> Rebase:
        """Return on what the node goes on training after a visit of `stream`."""
        pending = self.ledger.pending
        # While some have not given their rates yet, the mean is short of theirs. That is meant: it
        # slows down those who have, until all have a say (measured: better than to scale it up).
        mean, own = stream.rate, self.ledger.rate
        return Rebase(
            shard=self.shard_id,
            model=stream.model if pending is None else stream.model + pending,
            correction=None if mean is None or own is None else mean - own,
        )
