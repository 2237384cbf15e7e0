"""A node: its shards, a station for each stream that comes here, and the links they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from flwr_digest.core.config import NodeConfig
from flwr_digest.core.effects import Effect, StreamClosed
from flwr_digest.core.events import (
    Event,
    LinkDown,
    LinkUp,
    LocalSteps,
    MessageReceived,
    SessionStarted,
    TimerFired,
    TrainingFinished,
)
from flwr_digest.core.ids import NO_FENCE, NodeId, ShardId, StreamId
from flwr_digest.core.ledger import Ledger
from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.shard import Region, Shard
from flwr_digest.core.silence import Silence
from flwr_digest.core.state import StationState
from flwr_digest.core.station import Station
from flwr_digest.core.stream import Stream
from flwr_digest.errors import LocalProtocolError, RemoteProtocolError


class Node:
    """The protocol of one participant, without any input or output of its own.

    Parameters
    ----------
    config : NodeConfig
        This node's part of the plan.
    states : mapping of StreamId to StationState
        For each stream that this node is a member of: `first_state`, or what an earlier session
        left, made ready by `for_new_session`.

    Notes
    -----
    A driver hands in `SessionStarted` first, then whatever happens; it carries out the effects
    that `handle` returns, in order, before it hands in the next event.
    """

    def __init__(self, config: NodeConfig, states: Mapping[StreamId, StationState]) -> None:
        me = config.node_id
        ours = [stream_id for stream_id, plan in config.streams.items() if me in plan.members]
        if set(states) != set(ours):
            raise LocalProtocolError(
                f"node {me}: states for streams {sorted(states)}, but the plan has {sorted(ours)}"
            )
        if any((s.kept.rate is not None) != config.drift_correction for s in states.values()):
            raise LocalProtocolError(
                f"node {me}: states with other rates than the plan's; see `for_new_session`"
            )
        self.config = config
        self.shards = _shards(config, states)
        self.silence = Silence()
        self.stations: dict[StreamId, Station] = {}
        for stream_id, state in sorted(states.items()):
            shard = self.shards[config.streams[stream_id].shard]
            station = Station(config, stream_id, state.kept, state.highest, shard, self.silence)
            self.stations[stream_id] = station
        self.live: frozenset[NodeId] = frozenset()

    @property
    def members(self) -> dict[StreamId, Station]:
        """The stations of the streams that this node is a member of."""
        me = self.config.node_id
        return {s: self.stations[s] for s in self.stations if me in self.config.streams[s].members}

    @property
    def states(self) -> dict[StreamId, StationState]:
        """What must outlive the session, for each stream."""
        return self.states_of(self.shards)

    def states_of(self, shards: Iterable[ShardId]) -> dict[StreamId, StationState]:
        """Return what must outlive the session, for each stream of some shards."""
        found = {}
        for shard_id in shards:
            accounts, rate = self.shards[shard_id].closed_books()
            for stream_id, account in accounts.items():
                station = self.stations[stream_id]
                found[stream_id] = StationState(
                    account=account,
                    kept=station.remembered,
                    highest=station.highest,
                    rate=rate,
                )
        return found

    @property
    def closed(self) -> bool:
        """Whether the session is over for every stream that this node is a member of."""
        return all(station.closed for station in self.members.values())

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and return what is to be done about it.

        Parameters
        ----------
        event : Event
            What happened.
        now : float
            The driver's clock in seconds; any origin, never running backwards.

        Raises
        ------
        RemoteProtocolError
            A peer sent what it must not; the driver ends the link to it, and goes on.
        LocalProtocolError
            The driver handed in what cannot have happened.
        """
        effects = ended = self._handle(event, now)
        while any(isinstance(effect, StreamClosed) for effect in ended):  # others waited for it
            ended = self._each(lambda station: station.reconsider(self.live, now))
            effects = effects + ended
        return effects

    def _handle(self, event: Event, now: float) -> list[Effect]:
        match event:
            case SessionStarted():
                return self._each(lambda station: station.start(self.live, now))
            case LocalSteps(shard=shard_id):
                self._check_steps(event)
                self.shards[shard_id].take_in(event)
                return self._reconsider(shard_id, now)
            case TrainingFinished():
                for shard in self.shards.values():
                    shard.trained = True
                return self._each(lambda station: station.reconsider(self.live, now))
            case MessageReceived(peer=peer, message=message):
                return self._message_received(peer, message, now)
            case LinkUp(peer=peer):
                self._check_neighbor(peer)
                self.live |= {peer}
                self.silence.ends(peer)
                return self._each(lambda station: station.link_up(peer, self.live, now))
            case LinkDown(peer=peer):
                self.live -= {peer}
                self.silence.ends(peer)
                return self._each(lambda station: station.link_down(peer, self.live, now))
            case TimerFired(timer=timer):
                return self._station(timer.stream_id).timer_fired(timer.kind, self.live, now)

    def _message_received(self, peer: NodeId, message: Message, now: float) -> list[Effect]:
        self._check_message(peer, message)
        self.silence.ends(peer)
        stream_id = _stream_of(message)
        if stream_id not in self.stations:  # it passes through
            self.stations[stream_id] = self._relay(stream_id)
        station = self.stations[stream_id]
        effects = station.receive(peer, message, self.live, now)
        if isinstance(message, Hop) and station.shard is not None and station.shard.gateway:
            effects += self._reconsider(station.shard.shard_id, now)  # others wait for its news
        return effects

    def _relay(self, stream_id: StreamId) -> Station:
        shard = self.shards[self.config.streams[stream_id].shard]
        like = self.stations[next(iter(shard.regions))].kept.model
        nothing = Stream(stream_id=stream_id, model=like)
        return Station(self.config, stream_id, nothing, NO_FENCE, None, self.silence)

    def _reconsider(self, shard_id: ShardId, now: float) -> list[Effect]:
        """Let held streams of a shard look again whether they may leave."""
        return [
            effect
            for stream_id in self.shards[shard_id].regions
            for effect in self.stations[stream_id].reconsider(self.live, now)
        ]

    def _each(self, act: Callable[[Station], list[Effect]]) -> list[Effect]:
        return [effect for station in list(self.stations.values()) for effect in act(station)]

    def _station(self, stream_id: StreamId) -> Station:
        if stream_id not in self.stations:
            raise LocalProtocolError(f"there is no stream {stream_id} in the plan")
        return self.stations[stream_id]

    def _check_steps(self, event: LocalSteps) -> None:
        if event.shard not in self.shards:
            raise LocalProtocolError(f"there is no shard {event.shard} in the plan")
        shape = self._shape(event.shard)
        if event.steps < 0 or event.displacement.shape != shape:
            raise LocalProtocolError(
                f"{event.steps} local steps with a displacement of shape "
                f"{event.displacement.shape}: 0 or more, and {shape}, are possible"
            )
        if self.config.drift_correction and event.gradients is None:
            raise LocalProtocolError("local steps without gradients: drift correction needs them")

    def _shape(self, shard_id: ShardId) -> tuple[int, ...]:
        stream_id = next(iter(self.shards[shard_id].regions))
        return self.stations[stream_id].kept.model.shape

    def _check_neighbor(self, peer: NodeId) -> None:
        if peer not in self.config.neighbors:
            raise LocalProtocolError(f"node {peer} is no neighbor of node {self.config.node_id}")

    def _check_message(self, peer: NodeId, message: Message) -> None:
        """Refuse what no honest peer of this plan can send."""
        self._check_neighbor(peer)
        stream_id = _stream_of(message)
        if stream_id not in self.config.streams:
            raise RemoteProtocolError(f"node {peer} speaks of stream {stream_id}: not in the plan")
        if not isinstance(message, Hop):
            return
        stream, shape = message.stream, self._shape(self.config.streams[stream_id].shard)
        if stream.model.shape != shape:
            raise RemoteProtocolError(
                f"node {peer} sent stream {stream_id} with {stream.model.size} values; "
                f"the plan has {shape[0]}"
            )
        if (stream.rate is not None) != self.config.drift_correction:
            told = "no gradient rates" if stream.rate is None else "gradient rates"
            ours = "with" if self.config.drift_correction else "without"
            raise RemoteProtocolError(
                f"node {peer} sent stream {stream_id} with {told}; the plan is {ours}"
            )


def _shards(config: NodeConfig, states: Mapping[StreamId, StationState]) -> dict[ShardId, Shard]:
    shards: dict[ShardId, Shard] = {}
    for stream_id, state in sorted(states.items()):
        account = state.account
        blind = config.regional and config.life not in (None, account.life)
        if blind:
            account = replace(account, deposit=None)  # nor will it be in the next session
        shard_id = config.streams[stream_id].shard
        made = Shard(config=config, shard_id=shard_id, regions={}, blind=blind)
        shard = shards.setdefault(shard_id, made)
        shard.regions[stream_id] = Region(account=account)
        shard.ledger = Ledger(rate=state.rate)
    for shard in shards.values():
        if shard.gateway:
            _recall(shard, states)
    return shards


def _recall(shard: Shard, states: Mapping[StreamId, StationState]) -> None:
    """Let a gateway know what it had passed on, as far as it still does."""
    for stream_id, region in shard.regions.items():
        region.side = shard.config.side_of(stream_id)
        if region.account.deposit is not None:
            shard.recall(states[stream_id].kept)


def _stream_of(message: Message) -> StreamId:
    return message.stream.stream_id if isinstance(message, Hop) else message.stream_id
