"""What the broker remembers of the nodes from session to session."""

from __future__ import annotations

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Hello
from flwr_digest.strategies.epochs import Epoch, LastSession
from flwr_digest.strategies.roster import Roster

ONE, TWO = NodeId(4), NodeId(6)


def hello(life: int) -> Hello:
    return Hello(address="h:1", certificate="", kept={}, generation=0, life=life)


def session(*members: NodeId, cut_anew: bool = False) -> LastSession:
    epoch = Epoch(number=0, regions=1, cut_anew=cut_anew)
    return LastSession(epoch=epoch, members=frozenset(members))


def test_a_hello_is_good_for_one_session() -> None:
    roster = Roster()
    roster.introduce({ONE: hello(1), TWO: hello(2)})
    assert list(roster.among([TWO, NodeId(9)])) == [TWO]
    roster.send_off(session(TWO))
    assert list(roster.ready) == [ONE]
    assert roster.last == session(TWO)
    roster.return_from_session({TWO: hello(2)})
    assert set(roster.ready) == roster.with_model == {ONE, TWO}


def test_a_life_that_is_new_without_a_session_is_not_believed() -> None:
    roster = Roster()
    roster.introduce({ONE: hello(1)})
    roster.send_off(session(ONE))  # and then it loses its memory, or is killed
    for life in (0, 7):
        roster.introduce({ONE: hello(life)})
        assert roster.lives == {ONE: 1}


def test_a_life_that_has_been_through_a_session_is_known() -> None:
    roster = Roster()
    roster.introduce({ONE: hello(1)})
    roster.send_off(session(ONE))
    roster.introduce({ONE: hello(7)})
    roster.send_off(session(ONE))
    roster.return_from_session({ONE: hello(7)})
    assert roster.lives == {ONE: 7}


def test_where_all_accounts_are_opened_anew_every_life_is_known() -> None:
    roster = Roster()
    roster.introduce({ONE: hello(1), TWO: hello(2)})
    roster.send_off(session(ONE))
    roster.introduce({ONE: hello(7)})
    roster.send_off(session(ONE, cut_anew=True))
    assert roster.lives == {ONE: 7, TWO: 2}
