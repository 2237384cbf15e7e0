"""One node in the simulator: its core, and what it notes for the replay."""

from __future__ import annotations

from functools import partial
from typing import cast

from flwr_digest.core.effects import (
    AwaitSteps,
    CancelTimer,
    Effect,
    Notice,
    Rebase,
    Send,
    SetTimer,
)
from flwr_digest.core.events import (
    Event,
    LinkDown,
    LinkUp,
    LocalSteps,
    MessageReceived,
    SessionStarted,
    Timer,
    TimerFired,
)
from flwr_digest.core.ids import NodeId, ShardId, StreamId
from flwr_digest.core.messages import Hop, Message
from flwr_digest.core.node import Node
from flwr_digest.core.state import StationState
from flwr_digest.core.vector import Vector
from flwr_digest.sim.digest.later import Later
from flwr_digest.sim.digest.plans import FIRST_LIFE
from flwr_digest.sim.digest.program import Forget, GoOnFrom, Take
from flwr_digest.sim.digest.timers import Timers
from flwr_digest.sim.digest.world import World


class Participant:
    """What a driver of the core does, for one node.

    Attributes
    ----------
    core : Node or None
        The node itself; None while it is away.
    life : int
        The life of its accounts: one more each time it comes back without its state.
    """

    def __init__(self, node: int, world: World) -> None:
        self._node = node
        self._world = world
        self.core: Node | None = None
        self.life = 0
        self._saved: dict[StreamId, StationState] | None = None
        self._taken = [0] * len(world.plans.slices)  # local steps of the run, by shard
        self._forgotten_steps = 0  # local steps of earlier lives
        self._shards = {s: plan.shard for s, plan in world.plans.configs[node].streams.items()}
        self._shapes = [(part.stop - part.start,) for part in world.plans.slices]
        self._drift_correction = world.plans.configs[node].drift_correction
        self._wakes: dict[StreamId, int] = {}
        self._timers = Timers(world.agenda, self._timer_fired)

    # --- coming and going -------------------------------------------------------------------------

    def begin(self) -> None:
        """Make the node as all nodes are at first."""
        self.life = FIRST_LIFE
        states = self._world.plans.first_states(self._node, self.life)
        self.core = Node(self._world.plans.configs[self._node], states)

    def start(self, now: float) -> None:
        """Begin the session. Links come first, so that a stream has the choice."""
        self._happen(SessionStarted(), now)

    def leave(self, now: float, *, with_state: bool) -> None:
        """Go away: keep the state, or lose it with all local steps that no stream has got."""
        if self.core is None:
            return
        if with_state:
            for shard in range(len(self._taken)):
                self._hand_in(ShardId(shard), now)
            self._saved = self.core.states
        self._world.report.add_counters(self.core)
        self.core = None
        self._timers.clear()
        self._wakes.clear()

    def come_back(self, now: float) -> None:
        """Return from an absence, or come for the first time when the session has begun."""
        states = self._saved
        if states is None:
            states = self._begin_anew(now)
        self._saved = None
        self.core = Node(self._world.plans.returning(self._node), states)
        self._happen(SessionStarted(), now)

    def _begin_anew(self, now: float) -> dict[StreamId, StationState]:
        made = self._world.times.made_by(self._node, now)
        self._forgotten_steps = made
        self._taken = [made] * len(self._taken)
        self._world.replay.note(self._node, Forget(made))
        self.life += 1
        return self._world.plans.first_states(self._node, self.life)

    def steps_of_life(self, now: float) -> int:
        """Return how many local steps the node has made since it last began anew."""
        return self._world.times.made_by(self._node, now) - self._forgotten_steps

    # --- what happens -----------------------------------------------------------------------------

    def link_changed(self, peer: int, now: float, *, up: bool) -> None:
        """Note that a link is there, or gone."""
        if self.core is not None:
            self._happen(LinkUp(peer=NodeId(peer)) if up else LinkDown(peer=NodeId(peer)), now)

    def receive(self, peer: int, message: Message, now: float) -> None:
        """Take in a message that has arrived."""
        if self.core is None:
            return
        if isinstance(message, Hop):
            self._hand_in(self._shards[message.stream.stream_id], now)
        self._happen(MessageReceived(peer=NodeId(peer), message=message), now)

    def _timer_fired(self, timer: Timer, now: float) -> None:
        self._happen(TimerFired(timer=timer), now)

    def _wake(self, stream_id: StreamId, steps: int, now: float) -> None:
        """Hand in the steps that the pace of a stream waits for, if it still does."""
        if self._wakes.get(stream_id) == steps:
            del self._wakes[stream_id]
            self._hand_in(self._shards[stream_id], now)

    def _hand_in(self, shard: ShardId, now: float) -> None:
        """Tell the core of the local steps since the last time, without knowing what they did."""
        made = self._world.times.made_by(self._node, now)
        steps = made - self._taken[shard]
        if not steps:
            return
        self._taken[shard] = made
        displacement = Later(self._shapes[shard])
        gradients = Later(self._shapes[shard]) if self._drift_correction else None
        self._world.replay.note(self._node, Take(made, shard, displacement, gradients))
        event = LocalSteps(
            shard=shard,
            steps=steps,
            # The core takes whatever adds, subtracts and scales, see `core.vector`.
            displacement=cast(Vector, displacement),
            gradients=cast(Vector | None, gradients),
        )
        self._happen(event, now)

    # --- what is done about it --------------------------------------------------------------------

    def _happen(self, event: Event, now: float) -> None:
        """Hand an event to the core, and carry out what it wants done."""
        if self.core is not None:
            for effect in self.core.handle(event, now):
                self._carry_out(effect, now)

    def _carry_out(self, effect: Effect, now: float) -> None:
        match effect:
            case CancelTimer(timer=timer):
                self._timers.cancel(timer)
            case SetTimer(timer=timer, at=at):
                self._timers.set(timer, at)
            case Send(peer=peer, message=message):
                if self.core is not None and peer in self.core.live:
                    self._world.send(self._node, peer, message, now)
            case Rebase():
                self._rebase(effect, now)
            case AwaitSteps(stream_id=stream_id, more_steps=more_steps):
                self._await_steps(stream_id, more_steps, now)
            case Notice():
                self._world.report.notices[effect.kind] += 1

    def _rebase(self, effect: Rebase, now: float) -> None:
        made = self._world.times.made_by(self._node, now)
        item = GoOnFrom(
            made,
            effect.shard,
            cast(Later, effect.model),  # made of those that were handed in
            cast(Later | None, effect.correction),
            on_top=made > self._taken[effect.shard],
        )
        self._world.replay.note(self._node, item)

    def _await_steps(self, stream_id: StreamId, more_steps: int, now: float) -> None:
        steps = self._taken[self._shards[stream_id]] + more_steps
        if self._wakes.get(stream_id) != steps:
            self._wakes[stream_id] = steps
            wake = partial(self._wake, stream_id, steps)
            # Nothing was handed in while there was no link: the steps may be made already.
            self._world.agenda.at(max(now, self._world.times.end(self._node, steps)), wake)
