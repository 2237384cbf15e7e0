"""One node in the simulator: its core, and what it notes for the replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from flwr_digest.sim.digest.agenda import Act
from flwr_digest.sim.digest.later import Later
from flwr_digest.sim.digest.memory import Memory
from flwr_digest.sim.digest.plans import FIRST_LIFE
from flwr_digest.sim.digest.program import Forget, GoOnFrom, Take
from flwr_digest.sim.digest.timers import Timers
from flwr_digest.sim.digest.world import World
from flwr_digest.sim.faults import Absence


class Participant:
    """What a driver of the core does, for one node.

    Attributes
    ----------
    core : Node or None
        The node itself; None while it is away.
    life : int
        The life of its accounts: one more each time it comes back without its state.
    memory : Memory or None
        What it has saved, if it is to be killed some time; None where nobody will ask.
    """

    def __init__(self, node: int, world: World) -> None:
        self._node = node
        self._world = world
        self.core: Node | None = None
        self.life = 0
        self._saved: dict[StreamId, StationState] | None = None
        self.memory: Memory | None = None
        self._frozen_until: float | None = None
        self._inbox: list[Act] = []  # what waits for a frozen node
        self._taken = [0] * len(world.plans.slices)  # local steps of the run, by shard
        self._forgotten_steps = 0  # local steps of earlier lives, and those that were lost
        self._killed = False
        self._shards = {s: plan.shard for s, plan in world.plans.configs[node].streams.items()}
        self._shapes = [(part.stop - part.start,) for part in world.plans.slices]
        self._drift_correction = world.plans.configs[node].drift_correction
        self._wakes: dict[StreamId, int] = {}
        self._timers = Timers(world.agenda, self._timer_fired)

    # --- coming and going -------------------------------------------------------------------------

    def remember(self) -> None:
        """Save each visit from now on: the node is to be killed. Others save when they leave."""
        self.memory = Memory()

    def begin(self) -> None:
        """Make the node as all nodes are at first."""
        self.life = FIRST_LIFE
        states = self._world.plans.first_states(self._node, self.life)
        self._save_all(states)
        self.core = Node(self._world.plans.configs[self._node], states)

    def start(self, now: float) -> None:
        """Begin the session. Links come first, so that a stream has the choice."""
        self._happen(SessionStarted(), now)

    def leave(self, now: float, absence: Absence) -> None:
        """Go away: keep the state, or what was saved of it, or lose all that no stream has got."""
        if self.core is None:
            return
        if absence.with_state and absence.killed and self.memory is not None:
            self._saved = self.memory.recalled(self.life + 1)
        elif absence.with_state:
            for shard in range(len(self._taken)):
                self._hand_in(ShardId(shard), now)
            self._saved = self.core.states
        self._killed = absence.killed
        self._world.report.add_counters(self.core)
        self.core = None
        self._timers.clear()
        self._wakes.clear()

    def come_back(self, now: float) -> None:
        """Return from an absence, or come for the first time when the session has begun."""
        states = self._states_found(now)
        self._saved = None
        self._save_all(states)
        self.core = Node(self._world.plans.returning(self._node), states)
        self._happen(SessionStarted(), now)

    def _states_found(self, now: float) -> dict[StreamId, StationState]:
        """Return the states to go on with, and let the trainer do so."""
        if self._saved is None:
            self._forget(now, known_steps=0)
            self.life += 1
            return self._world.plans.first_states(self._node, self.life)
        if self._killed:
            accounts = [state.account for state in self._saved.values()]
            self.life = accounts[0].life
            self._forget(now, known_steps=max(account.steps for account in accounts))
            for stream_id, state in self._saved.items():
                self._go_on_from(self._shards[stream_id], state.kept.model, None, now)
        return self._saved

    def _forget(self, now: float, *, known_steps: int) -> None:
        """Let all local steps of the run so far be lost, but for those that the state knows of."""
        made = self._world.times.made_by(self._node, now)
        self._forgotten_steps = made - known_steps
        self._taken = [made] * len(self._taken)
        self._world.replay.note(self._node, Forget(made))

    def _save_all(self, states: Mapping[StreamId, StationState]) -> None:
        if self.memory is not None:
            self.memory.begin(states)

    def freeze(self, until: float, now: float) -> None:
        """Stand still: all that happens meanwhile waits."""
        self._frozen_until = until

    def thaw(self, now: float) -> None:
        """Go on, with what has happened first; then with timers that are due by now."""
        self._frozen_until = None
        inbox, self._inbox = self._inbox, []
        for act in inbox:
            act(now)

    def steps_of_life(self, now: float) -> int:
        """Return how many local steps the node has made since it last began anew."""
        return self._world.times.made_by(self._node, now) - self._forgotten_steps

    # --- what happens -----------------------------------------------------------------------------

    def link_changed(self, peer: int, now: float, *, up: bool) -> None:
        """Note that a link is there, or gone."""
        if self._frozen_until is not None:
            self._inbox.append(partial(self.link_changed, peer, up=up))
        elif self.core is not None:
            self._happen(LinkUp(peer=NodeId(peer)) if up else LinkDown(peer=NodeId(peer)), now)

    def receive(self, peer: int, message: Message, now: float) -> None:
        """Take in a message that has arrived."""
        if self._frozen_until is not None:
            self._inbox.append(partial(self.receive, peer, message))
            return
        if self.core is None:
            return
        if isinstance(message, Hop):
            self._hand_in(self._shards[message.stream.stream_id], now)
        self._happen(MessageReceived(peer=NodeId(peer), message=message), now)

    def _timer_fired(self, timer: Timer, now: float) -> None:
        if self._frozen_until is not None:
            self._timers.set(timer, self._frozen_until)
        else:
            self._happen(TimerFired(timer=timer), now)

    def _wake(self, stream_id: StreamId, steps: int, now: float) -> None:
        """Hand in the steps that the pace of a stream waits for, if it still does."""
        if self._frozen_until is not None:
            self._inbox.append(partial(self._wake, stream_id, steps))
        elif self._wakes.get(stream_id) == steps:
            del self._wakes[stream_id]
            self._hand_in(self._shards[stream_id], now)

    def _hand_in(self, shard: ShardId, now: float) -> None:
        """Tell the core of the local steps since the last time."""
        made = self._world.times.made_by(self._node, now)
        steps = made - self._taken[shard]
        if not steps:
            return
        self._taken[shard] = made
        displacement, gradients = self._take(shard, made, steps)
        event = LocalSteps(shard=shard, steps=steps, displacement=displacement, gradients=gradients)
        self._happen(event, now)

    def _take(self, shard: ShardId, made: int, steps: int) -> tuple[Vector, Vector | None]:
        """Return what the latest steps did, and their gradients, without knowing them yet."""
        displacement = Later(self._shapes[shard])
        gradients = Later(self._shapes[shard]) if self._drift_correction else None
        self._world.replay.note(self._node, Take(made, shard, displacement, gradients))
        # The core takes whatever adds, subtracts and scales, see `core.vector`.
        return cast(Vector, displacement), cast(Vector | None, gradients)

    # --- what is done about it --------------------------------------------------------------------

    def _happen(self, event: Event, now: float) -> None:
        """Hand an event to the core, and carry out what it wants done."""
        if self.core is None:
            return
        effects = self.core.handle(event, now)
        if self.memory is not None and (shards := self._changed_by(effects)):
            self.memory.keep(self.core.states_of(shards))
        for effect in effects:
            self._carry_out(effect, now)

    def _changed_by(self, effects: Sequence[Effect]) -> set[ShardId]:
        """Return the shards whose states others are about to hear of."""
        shards = {effect.shard for effect in effects if isinstance(effect, Rebase)}
        hops = (e.message for e in effects if isinstance(e, Send) and isinstance(e.message, Hop))
        return shards | {self._shards[hop.stream.stream_id] for hop in hops}

    def _carry_out(self, effect: Effect, now: float) -> None:
        match effect:
            case CancelTimer(timer=timer):
                self._timers.cancel(timer)
            case SetTimer(timer=timer, at=at):
                self._timers.set(timer, at)
            case Send(peer=peer, message=message):
                if self.core is not None and peer in self.core.live:
                    self._world.send(self._node, peer, message, now)
            case Rebase(shard=shard, model=model, correction=correction):
                self._go_on_from(shard, model, correction, now)
            case AwaitSteps(stream_id=stream_id, more_steps=more_steps):
                self._await_steps(stream_id, more_steps, now)
            case Notice():
                self._world.report.notices[effect.kind] += 1

    def _go_on_from(
        self, shard: ShardId, model: Vector, correction: Vector | None, now: float
    ) -> None:
        made = self._world.times.made_by(self._node, now)
        item = GoOnFrom(
            made,
            shard,
            cast(Later, model),  # made of those that were handed in
            cast(Later | None, correction),
            on_top=made > self._taken[shard],
        )
        self._world.replay.note(self._node, item)

    def _await_steps(self, stream_id: StreamId, more_steps: int, now: float) -> None:
        steps = self._taken[self._shards[stream_id]] + more_steps
        if self._wakes.get(stream_id) != steps:
            self._wakes[stream_id] = steps
            wake = partial(self._wake, stream_id, steps)
            # Nothing was handed in while there was no link: the steps may be made already.
            self._world.agenda.at(max(now, self._world.times.end(self._node, steps)), wake)
