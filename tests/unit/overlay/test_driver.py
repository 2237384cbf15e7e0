"""The driver: which steps it takes when, whom it wakes, and how it guards the correction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from flwr_digest.core.config import NodeConfig, StreamPlan
from flwr_digest.core.events import SessionStarted
from flwr_digest.core.ids import Fence, NodeId, ShardId, StreamId
from flwr_digest.core.messages import Close, Hop, Inquiry, Message
from flwr_digest.core.node import Node
from flwr_digest.core.state import first_state, for_new_session
from flwr_digest.core.stream import Stream, Tour
from flwr_digest.core.trainer import Taken
from flwr_digest.core.vector import Vector
from flwr_digest.overlay.driver import Driver
from flwr_digest.overlay.frames import Codec
from flwr_digest.overlay.items import Delivered, Finished, Item, Linked, StepsMade, Stop, Unlinked
from flwr_digest.overlay.link import Link
from flwr_digest.overlay.traffic import Traffic
from tests.support.overlay_session import captured_log

ME, PEER, OTHER = map(NodeId, (1, 0, 2))
SIZE, STEPS = 3, 25  # enough steps for a rate
SHARDS = 4


@dataclass
class Diary:
    """A trainer that notes what it is asked, and has made some steps at each `take`."""

    steps: int = 0
    lines: list[str] = field(default_factory=list)
    corrections: list[Vector] = field(default_factory=list)
    wakes: list[Callable[[], None]] = field(default_factory=list)

    def divide(self, slices: Sequence[slice], *, drift_correction: bool) -> None:
        self.lines.append(f"divide into {len(slices)}")

    def take(self, shard: ShardId) -> Taken | None:
        self.lines.append(f"take {shard}")
        ones = np.ones(SIZE, dtype=np.float32)
        return Taken(self.steps, ones, ones * self.steps) if self.steps else None

    def rebase(self, shard: ShardId, model: Vector, correction: Vector | None) -> None:
        self.lines.append(f"rebase {shard}")
        if correction is not None:
            self.corrections.append(correction)

    def uncorrect(self) -> None:
        self.lines.append("uncorrect")

    def wake_after(self, shard: ShardId, steps: int, wake: Callable[[], None]) -> None:
        self.lines.append(f"wake {shard} after {steps}")
        self.wakes.append(wake)

    def fail(self, error: BaseException) -> None:
        raise error


def driven(
    trainer: Diary, *, drift_correction: bool = False, local_steps: int = 0, regional: bool = False
) -> Driver:
    """Return a driver of node 1 in a line 0 - 1 - 2; streams 0 to 3, one a shard, start at 0."""
    everyone = frozenset({ME, PEER, OTHER})
    streams = {
        StreamId(s): StreamPlan(shard=ShardId(s), start=PEER, members=everyone)
        for s in range(SHARDS)
    }
    if regional:  # one more, of the first shard, of which node 1 is no member
        members = frozenset({PEER, OTHER})
        streams[StreamId(SHARDS)] = StreamPlan(shard=ShardId(0), start=PEER, members=members)
    config = NodeConfig(
        node_id=ME,
        topology={
            PEER: frozenset({ME}),
            ME: frozenset({PEER, OTHER}),
            OTHER: frozenset({ME}),
        },
        streams=streams,
        weight=1 / 3,
        local_steps=local_steps,
        drift_correction=drift_correction,
    )
    states = {
        stream_id: for_new_session(
            first_state(stream_id, np.zeros(SIZE, dtype=np.float32), life=1),
            drift_correction=drift_correction,
        )
        for stream_id, plan in streams.items()
        if ME in plan.members
    }
    return Driver(Node(config, states), trainer, clock=lambda: 0.0)


def link_to(driver: Driver, peer: NodeId = PEER) -> Link:
    sizes = dict.fromkeys(driver.node.config.streams, SIZE)
    rates = driver.node.config.drift_correction
    codec = Codec(frozenset({ME, PEER, OTHER}), sizes, rates=rates)
    return Link(peer=peer, codec=codec, traffic=Traffic())


def said_over(link: Link) -> list[Message]:
    """Return a list that will hold what is sent over a link."""
    said: list[Message] = []

    def send(message: Message) -> None:
        said.append(message)

    link.send = send  # type: ignore[method-assign]
    return said


def hop_of(stream: int, *, hop: int = 1, rate: float | None = None) -> Hop:
    zeros = np.zeros(SIZE, dtype=np.float32)
    return Hop(
        stream=Stream(
            stream_id=StreamId(stream),
            model=zeros,
            rate=None if rate is None else zeros + np.float32(rate),
            fence=Fence(1, PEER),
            hop=hop,
            tour=Tour(seen=frozenset({PEER})),  # it ends at the node that it comes to
        )
    )


def run(driver: Driver, *items: Item) -> None:
    for item in (*items, Stop()):
        driver.post(item)
    driver.run()


ALL = [f"take {shard}" for shard in range(SHARDS)]  # at the end


def test_before_a_hop_the_steps_of_its_shard_are_taken_and_no_others() -> None:
    trainer = Diary(steps=2)
    driver = driven(trainer)
    link = link_to(driver)

    run(driver, Linked(link), Delivered(link, hop_of(2)))

    assert trainer.lines == ["take 2", "rebase 2", *ALL]
    visit = driver.node.stations[StreamId(2)].kept.last_visit(ME)
    assert visit.steps == 2


def test_a_stream_that_passes_through_waits_for_no_steps() -> None:
    trainer = Diary(steps=2)
    driver = driven(trainer, regional=True)
    link = link_to(driver)

    run(driver, Linked(link), Delivered(link, hop_of(SHARDS)))

    assert trainer.lines == ALL
    assert driver.node.stations[StreamId(SHARDS)].kept.hop == 2


def test_a_held_stream_is_looked_at_again_after_its_own_shards_steps() -> None:
    trainer = Diary()
    driver = driven(trainer, local_steps=7)
    link = link_to(driver)

    run(driver, Linked(link), Delivered(link, hop_of(3)))
    assert trainer.lines == ["take 3", "rebase 3", "wake 3 after 1", *ALL]  # then it knows more
    trainer.lines.clear()
    trainer.steps = 7
    trainer.wakes[0]()
    run(driver)

    assert trainer.lines[0] == "take 3"
    assert driver.node.stations[StreamId(3)].counters.hops_sent == 1


def test_at_the_end_of_training_the_steps_of_all_shards_are_in() -> None:
    trainer = Diary(steps=3)
    driver = driven(trainer)

    run(driver, Finished())

    assert trainer.lines[:SHARDS] == ALL
    assert all(shard.trained for shard in driver.node.shards.values())
    assert [state.account.steps for state in driver.node.states.values()] == [6] * SHARDS


# --- the end ------------------------------------------------------------------------------------


def close_all() -> Iterator[Close]:
    for stream in range(SHARDS):
        yield Close(stream_id=StreamId(stream), order=hop_of(stream).stream.order)


def test_closed_while_there_are_links_is_not_stranded() -> None:
    driver = driven(Diary())
    link = link_to(driver)

    run(driver, Linked(link), Finished(), *(Delivered(link, close) for close in close_all()))

    assert (driver.closed, driver.stranded) == (True, False)


@pytest.mark.parametrize("goodbye", [True, False])
def test_closed_after_all_links_broke_is_stranded_unless_all_said_goodbye(goodbye: bool) -> None:
    driver = driven(Diary())
    links = [link_to(driver, peer) for peer in (PEER, OTHER)]
    for link in links:
        link.goodbye = goodbye
    # The end was heard of before this node had finished.
    heard = [Delivered(links[0], close) for close in close_all()]
    broken = [Unlinked(link, "a test") for link in links]

    run(driver, *map(Linked, links), *heard, *broken, Finished())

    assert (driver.closed, driver.stranded) == (True, not goodbye)
    assert driver.abandoned == goodbye


# --- links that break ---------------------------------------------------------------------------


def test_a_link_that_breaks_again_and_again_makes_few_lines() -> None:
    driver = driven(Diary())
    items: list[Item] = []
    for _ in range(20):
        link = link_to(driver)
        items += [Linked(link), Unlinked(link, "the connection broke")]

    with captured_log() as log:
        run(driver, *items)

    assert driver.links_lost == 20
    assert log == [
        "node 1 lost its link to node 0: the connection broke; streams go another way until it is "
        "back",
        "node 1 is linked with node 0 again, after 0.0 s",
        "node 1: link to node 0 lost: 19 times more in 0.0 s",
        "node 1: link to node 0 back: 18 times more in 0.0 s",
    ]


def test_a_goodbye_is_no_fault_and_a_refusal_is_counted() -> None:
    driver = driven(Diary())
    polite, rude = link_to(driver), link_to(driver, OTHER)
    polite.goodbye = True
    rude.refused = True

    with captured_log() as log:
        run(driver, Linked(polite), Linked(rude), Unlinked(polite, "bye"), Unlinked(rude, "no"))

    assert (driver.links_lost, driver.links_refused) == (1, 1)
    assert [line for line in log if "lost its link" in line] == [
        "node 1 lost its link to node 2: no; streams go another way until it is back"
    ]


# --- the guard ----------------------------------------------------------------------------------


def corrections_at(rates: Sequence[float]) -> tuple[Diary, Driver, list[str]]:
    """Let a stream come by again and again, with one more mean rate each time."""
    trainer = Diary(steps=STEPS)
    driver = driven(trainer, drift_correction=True)
    link = link_to(driver)
    hops = [
        Delivered(link, hop_of(0, hop=10 * (number + 1), rate=rate))
        for number, rate in enumerate(rates)
    ]
    with captured_log() as log:
        run(driver, Linked(link), *hops)
    return trainer, driver, [line for line in log if "drift correction is off" in line]


def test_a_correction_that_settles_stays_on() -> None:
    trainer, driver, log = corrections_at([10.0 + 5 * (-1) ** n for n in range(60)])

    assert len(trainer.corrections) == 60
    assert "uncorrect" not in trainer.lines
    assert not driver.uncorrected
    assert log == []


def test_a_correction_that_grows_is_switched_off_and_that_is_said_once() -> None:
    swings = [10.0 + (0.1 if n < 40 else 1.3 ** (n - 40)) * (-1) ** n for n in range(70)]
    trainer, driver, log = corrections_at(swings)

    # All corrections go at once, and no more come.
    renewed = len(trainer.corrections)
    assert 40 < renewed < 70
    off = trainer.lines.index("uncorrect")
    assert trainer.lines[:off].count("rebase 0") == renewed
    assert trainer.lines[off:].count("rebase 0") == 70 - renewed
    assert trainer.lines.count("uncorrect") == 1
    assert driver.uncorrected
    assert len(log) == 1
    assert log[0].startswith("node 1: drift correction is off for the rest of the session")


def test_what_comes_without_end_does_not_stop_the_clock() -> None:
    made: list[Driver] = []

    class Endless(Diary):
        def take(self, shard: ShardId) -> Taken | None:
            made[0].post(Stop() if said or len(self.lines) > 100 else StepsMade(shard))
            return super().take(shard)

    driver = driven(Endless(steps=STEPS), local_steps=STEPS)
    made.append(driver)
    link = link_to(driver)
    said = said_over(link)
    times = iter(range(0, 10_000, 10))
    driver._clock = lambda: float(next(times))
    driver.post(Linked(link))
    driver.post(StepsMade(ShardId(0)))

    driver.run()

    assert isinstance(said[0], Inquiry)


def test_what_is_there_when_a_timer_is_due_goes_before_it() -> None:
    late: list[Delivered] = []

    class Slow(Diary):
        def take(self, shard: ShardId) -> Taken | None:
            while late:
                driver.post(late.pop())
            return super().take(shard)

    driver = driven(Slow(steps=STEPS), local_steps=STEPS)
    link = link_to(driver)
    said = said_over(link)
    driver._handle(SessionStarted())
    driver._deal_with(Linked(link))
    driver._clock = lambda: 100.0  # all streams should have come by now

    driver.post(Delivered(link, hop_of(0)))
    driver.post(Delivered(link, hop_of(1)))
    driver.post(Delivered(link, hop_of(3)))
    late.append(Delivered(link, hop_of(2)))
    driver._turn()

    asked = [each for each in said if isinstance(each, Inquiry)]
    assert asked == [Inquiry(stream_id=StreamId(2))]


def test_who_has_trained_misses_a_stream_that_never_came() -> None:
    """Steps are taken when a stream comes; of one that never does, its wait must ask for them."""
    driver = driven(Diary(steps=STEPS), local_steps=STEPS)
    link = link_to(driver)
    said = said_over(link)
    driver._handle(SessionStarted())
    driver._deal_with(Linked(link))

    driver._fire_timers(100.0)

    assert said == [Inquiry(stream_id=StreamId(s)) for s in range(SHARDS)]
