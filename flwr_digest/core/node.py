"""A node: one station for each stream, and the links they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flwr_digest.core.config import NodeConfig
from flwr_digest.core.effects import Effect
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
from flwr_digest.core.ids import NodeId, StreamId
from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.state import StationState
from flwr_digest.core.station import Station
from flwr_digest.errors import LocalProtocolError, RemoteProtocolError


class Node:
    """The protocol of one participant, without any input or output of its own.

    Parameters
    ----------
    config : NodeConfig
        This node's part of the plan.
    states : mapping of StreamId to StationState
        For each stream of the plan: `first_state`, or what an earlier session left.

    Notes
    -----
    A driver hands in `SessionStarted` first, then whatever happens; it carries out the effects
    that `handle` returns, in order, before it hands in the next event.
    """

    def __init__(self, config: NodeConfig, states: Mapping[StreamId, StationState]) -> None:
        if set(states) != set(config.streams):
            raise LocalProtocolError(
                f"node {config.node_id}: states for streams {sorted(states)}, "
                f"but the plan has {sorted(config.streams)}"
            )
        self.config = config
        self.stations = {s: Station(config, s, states[s]) for s in sorted(config.streams)}
        self.live: frozenset[NodeId] = frozenset()

    @property
    def states(self) -> dict[StreamId, StationState]:
        """What must outlive the session, for each stream."""
        return {stream_id: station.state for stream_id, station in self.stations.items()}

    @property
    def closed(self) -> bool:
        """Whether the session is over for every stream."""
        return all(station.closed for station in self.stations.values())

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
        match event:
            case SessionStarted():
                return self._each(lambda station: station.start(self.live, now))
            case LocalSteps(stream_id=stream_id):
                self._check_steps(event)
                return self._station(stream_id).local_steps(event, self.live, now)
            case TrainingFinished():
                return self._each(lambda station: station.training_finished(self.live, now))
            case MessageReceived(peer=peer, message=message):
                self._check_message(peer, message)
                station = self._station(_stream_of(message))
                return station.receive(peer, message, self.live, now)
            case LinkUp(peer=peer):
                self._check_neighbor(peer)
                self.live |= {peer}
                return self._each(lambda station: station.link_up(peer, self.live, now))
            case LinkDown(peer=peer):
                self.live -= {peer}
                return self._each(lambda station: station.link_down(peer, self.live, now))
            case TimerFired(timer=timer):
                return self._station(timer.stream_id).timer_fired(timer.kind, self.live, now)

    def _each(self, act: Callable[[Station], list[Effect]]) -> list[Effect]:
        return [effect for station in self.stations.values() for effect in act(station)]

    def _station(self, stream_id: StreamId) -> Station:
        if stream_id not in self.stations:
            raise LocalProtocolError(f"there is no stream {stream_id} in the plan")
        return self.stations[stream_id]

    def _check_steps(self, event: LocalSteps) -> None:
        shape = self._station(event.stream_id).kept.model.shape
        if event.steps < 0 or event.displacement.shape != shape:
            raise LocalProtocolError(
                f"{event.steps} local steps with a displacement of shape "
                f"{event.displacement.shape}: 0 or more, and {shape}, are possible"
            )

    def _check_neighbor(self, peer: NodeId) -> None:
        if peer not in self.config.neighbors:
            raise LocalProtocolError(f"node {peer} is no neighbor of node {self.config.node_id}")

    def _check_message(self, peer: NodeId, message: Message) -> None:
        """Refuse what no honest peer of this plan can send."""
        self._check_neighbor(peer)
        stream_id = _stream_of(message)
        if stream_id not in self.stations:
            raise RemoteProtocolError(f"node {peer} speaks of stream {stream_id}: not in the plan")
        if not isinstance(message, Hop):
            return
        stream, ours = message.stream, self.stations[stream_id].kept
        if stream.model.shape != ours.model.shape:
            raise RemoteProtocolError(
                f"node {peer} sent stream {stream_id} with {stream.model.size} values; "
                f"the plan has {ours.model.size}"
            )


def _stream_of(message: Message) -> StreamId:
    return message.stream.stream_id if isinstance(message, Hop) else message.stream_id
