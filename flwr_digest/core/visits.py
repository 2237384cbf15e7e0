"""Visits of one stream to one node: what it takes in, what it brings, and what cannot be settled.

A node that is no member of the stream has no shard for it, hence no account: the stream passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flwr_digest.core.account import Account, has_news, holds, settle
from flwr_digest.core.config import NodeConfig
from flwr_digest.core.effects import Effect, Notice, NoticeKind
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.kept import KeptCopy
from flwr_digest.core.shard import Content, Shard, content_of
from flwr_digest.core.state import Counters
from flwr_digest.core.stream import Stream
from flwr_digest.errors import LocalProtocolError

MOST_REPLACEMENTS = 8
"""How often a gateway puts its own copy in another's place before it only relays. A guess: each
time the histories must have been cut by a long partition; ordinary histories need none."""


@dataclass(kw_only=True, slots=True)
class Visits:
    """Settles visits, and knows whether there is anything to settle.

    Attributes
    ----------
    config : NodeConfig
        The node's part of the plan.
    copy : KeptCopy
        The copy that was here last; a visit replaces it.
    shard : Shard or None
        Has the account; None at a node that the stream only passes through.
    counters : Counters
        Of visits, and of what went wrong with them.
    last_settled : Stream or None
        At a gateway that has come to relay only: the last copy that its account knows of.
    """

    config: NodeConfig
    copy: KeptCopy
    shard: Shard | None
    counters: Counters
    last_settled: Stream | None = None

    @property
    def stream_id(self) -> StreamId:
        """The stream that visits."""
        return self.copy.stream.stream_id

    @property
    def members(self) -> frozenset[NodeId]:
        """The nodes that it visits."""
        return self.config.streams[self.stream_id].members

    @property
    def account(self) -> Account:
        """What this node has for the stream, and has given."""
        return self._member_shard.regions[self.stream_id].account

    @property
    def remembered(self) -> Stream:
        """The newest copy that was here and that the account knows of."""
        return self.last_settled or self.copy.stream

    @property
    def steps(self) -> int:
        """How many local steps the node has made in this session."""
        return 0 if self.shard is None else self.shard.ledger.steps

    @property
    def trained(self) -> bool:
        """Whether this node will make no more local steps."""
        return self.shard is None or self.shard.trained

    @property
    def finished(self) -> bool:
        """Whether this node, and all behind it, will bring the stream nothing more."""
        return self.shard is None or self.shard.finished_for(self.stream_id)

    @property
    def _member_shard(self) -> Shard:
        if self.shard is None:
            raise LocalProtocolError(
                f"node {self.config.node_id} is no member of stream {self.stream_id}"
            )
        return self.shard

    def has_news(self, now: float) -> bool:
        """Return whether this node has something for the kept copy, or something to tell."""
        if self.shard is None:
            return False
        self.shard.bank(now)
        stream, me = self.copy.stream, self.config.node_id
        return has_news(self.account, stream, me) or (me in stream.finished) != self.finished

    def settle(self, stream: Stream, now: float) -> list[Effect]:
        """Settle accounts with a copy of the stream, keep it, and rebase the node on it."""
        if self.shard is None:
            self._pass_through(stream)
            return []
        self.shard.bank(now)
        effects: list[Effect] = []
        if self.config.regional and not holds(self.account, stream, self.config.node_id):
            if self.counters.replacements == MOST_REPLACEMENTS:
                return self._only_relay(stream)
            stream = self._own_instead_of(stream)
            effects.append(Notice(kind=NoticeKind.REPLACED, stream_id=self.stream_id))
        forfeited = self._take_in(stream)
        if self.config.regional:
            self._exchange_news(content_of(stream), now)
        if forfeited:
            kind = NoticeKind.FORFEITED
            effects.append(Notice(kind=kind, stream_id=self.stream_id, steps=forfeited))
        return [*effects, self.shard.rebase(self.copy.stream)]

    def _pass_through(self, stream: Stream) -> None:
        """Keep a copy that is no visit; one hop on, so that it is newer than what passed before."""
        done = frozenset({self.config.node_id}) & self.members  # one that lost its history
        tour = replace(stream.tour, seen=stream.tour.seen | done)
        finished = stream.finished | done
        self.copy.stream = replace(stream, hop=stream.hop + 1, tour=tour, finished=finished)

    def _take_in(self, stream: Stream) -> int:
        """Keep a copy and let it take in what it lacks; return how many steps were given up."""
        me, shard = self.config.node_id, self._member_shard
        finished = stream.finished | {me} if self.finished else stream.finished - {me}
        settlement = settle(self.account, stream, me, self.members)
        shard.regions[self.stream_id].account = settlement.account
        tour = replace(stream.tour, seen=stream.tour.seen | {me})
        # A last tour that finds something new cannot be the last: those before have not got it.
        closing = stream.closing and not settlement.news and self.finished
        settled = settlement.stream
        self.copy.stream = replace(settled, finished=finished, tour=tour, closing=closing)
        self.counters.visits += 1
        self.counters.forfeited_steps += settlement.forfeited_steps
        return settlement.forfeited_steps

    def _exchange_news(self, came_with: Content, now: float) -> None:
        """Note in the visit how old its news is, and hand the stream's own news to the shard."""
        shard, me, offset = self._member_shard, self.config.node_id, self.copy.clock_offset
        news, kept = shard.news_for(self.stream_id, now), self.copy.stream
        born_seconds = news.born_seconds - offset
        visit = replace(kept.last_visit(me), behind=news.nodes, born_seconds=born_seconds)
        self.copy.stream = shard.with_told(replace(kept, visits={**kept.visits, me: visit}))
        if not shard.visited_by(self.copy.stream, came_with, offset):
            self.counters.lost_deposits += 1

    def _own_instead_of(self, stream: Stream) -> Stream:
        """Return this node's own copy in the place of one that is too old for its history.

        Between regions work cannot be given up: what a gateway has passed on cannot be called
        back, and would be passed on again when its nodes bring it anew.
        """
        self.counters.replacements += 1
        fence, own = self.copy.raised_fence(), self.copy.stream
        return replace(own, fence=fence, tour=stream.tour, closing=False)

    def _only_relay(self, stream: Stream) -> list[Effect]:
        """Let the stream pass without a visit: gateways replace each other's copies in turn."""
        self._member_shard.ended(self.stream_id)  # nothing more comes from its region
        self.last_settled, self.shard = self.copy.stream, None
        self._pass_through(stream)
        return [Notice(kind=NoticeKind.HISTORY_LOST, stream_id=self.stream_id)]
