"""The accounting rule: each step once, whichever copy comes."""

from __future__ import annotations

from flwr_digest.core.account import Account, Applied, contribute, open_account, prune, settle
from flwr_digest.core.stream import Stream, Visit
from tests.unit.core.builders import LIFE, A, B, C, account, stream, train, vector

MEMBERS = [A, B, C]


def visit(given: Account, to: Stream) -> tuple[Account, Stream, int]:
    settlement = settle(given, to, A, MEMBERS)
    return settlement.account, settlement.stream, settlement.forfeited_steps


def seen_by_others(copy: Stream) -> Stream:
    """Return the copy after a tour of all others, so that nobody needs what was before."""
    others = {
        node: Visit(life=1, number=1, hop=copy.hop + n, steps=0) for n, node in enumerate((B, C), 1)
    }
    return stream(model=copy.model, hop=copy.hop + 2, visits={**copy.visits, **others})


def test_a_contribution_is_the_weighted_displacement() -> None:
    given = contribute(open_account(vector(0, 0), LIFE), vector(2, -4), steps=3, weight=0.5)
    assert given.own.tolist() == [1, -2]
    assert given.steps == 3


def test_a_contribution_leaves_the_old_account_as_it_was() -> None:
    before = account(2)
    train(before, 5)
    assert (before.own.item(), before.steps) == (2, 2)


def test_a_contribution_keeps_the_dtype() -> None:
    assert contribute(account(), vector(1), 1, weight=1 / 3).own.dtype == "float32"


def test_a_visit_adds_what_the_stream_lacks() -> None:
    given, copy, _ = visit(account(3), stream(model=vector(10)))
    assert copy.model.item() == 13
    _, copy, _ = visit(train(given, 2), copy)
    assert copy.model.item() == 15


def test_a_visit_moves_the_stream_one_hop_on_and_is_noted() -> None:
    _, copy, _ = visit(account(3), stream(hop=4))
    assert copy.hop == 5
    assert copy.last_visit(A) == Visit(life=LIFE, number=1, hop=5, steps=3)


def test_a_visit_without_new_steps_is_no_news() -> None:
    first = settle(account(1), stream(), A, MEMBERS)
    again = settle(first.account, first.stream, A, MEMBERS)
    assert (first.news, again.news) == (True, False)
    assert again.stream.model.item() == 1


def test_an_old_copy_gets_exactly_what_it_lacks() -> None:
    given, old, _ = visit(account(3), stream())
    given, _, _ = visit(train(given, 4), old)
    given, again, forfeited = visit(train(given, 5), old)
    assert again.model.item() == 12
    assert forfeited == 0


def test_two_copies_of_one_history_are_settled_apart() -> None:
    given, first, _ = visit(account(3), stream())
    given, left, _ = visit(train(given, 1), first)
    given, right, _ = visit(train(given, 1), first)
    _, left, _ = visit(given, left)
    assert (left.model.item(), right.model.item()) == (5, 5)


def test_visit_numbers_are_never_used_twice() -> None:
    given, first, _ = visit(account(1), stream())
    numbers = []
    for copy in (first, stream(), first):
        given, copy, _ = visit(given, copy)
        numbers.append(copy.last_visit(A).number)
    assert numbers == [2, 3, 4]


def test_a_copy_older_than_the_history_gives_up_and_says_how_much() -> None:
    given, old, _ = visit(account(3), stream())
    newer = old
    for _ in range(3):
        given, newer, _ = visit(train(given, 2), seen_by_others(newer))
    assert old.last_visit(A).number not in given.applied
    settlement = settle(train(given, 1), old, A, MEMBERS)
    assert settlement.stream.model.item() == 3  # what it had: nothing twice
    assert settlement.forfeited_steps == 7  # 10 were made, it contains 3
    assert settlement.news


def test_after_a_forfeit_the_copy_goes_on_exactly() -> None:
    given, old, _ = visit(account(3), stream())
    newer = old
    for _ in range(3):
        given, newer, _ = visit(train(given, 2), seen_by_others(newer))
    given, old, _ = visit(given, old)
    _, old, forfeited = visit(train(given, 5), old)
    assert (old.model.item(), forfeited) == (8, 0)


def test_a_visit_in_another_life_says_nothing_about_this_one() -> None:
    _, copy, _ = visit(account(3, life=1), stream())
    _, copy, forfeited = visit(account(2, life=2), copy)
    assert (copy.model.item(), forfeited) == (5, 0)


def test_a_copy_from_before_this_life_is_still_exact_while_the_history_reaches_back() -> None:
    _, old, _ = visit(account(3, life=1), stream())
    given, _, _ = visit(account(2, life=2), old)
    _, again, forfeited = visit(given, old)
    assert (again.model.item(), forfeited) == (5, 0)


def test_history_before_the_oldest_last_visit_is_forgotten() -> None:
    given, copy = account(1), stream()
    for _ in range(20):
        given, copy, forfeited = visit(train(given, 1), seen_by_others(copy))
        assert forfeited == 0
        assert len(given.applied) <= 3


def test_a_member_that_was_never_visited_holds_the_history() -> None:
    given, copy = account(1), stream()
    for _ in range(4):
        given, copy, _ = visit(train(given, 1), copy)
    assert 0 in given.applied


def test_a_member_that_stays_away_does_not_hold_it_without_bound() -> None:
    given, copy = account(1), stream()
    for _ in range(50):
        given, copy, _ = visit(train(given, 1), copy)
        assert len(given.applied) <= 2 * len(MEMBERS)
    assert 0 in given.applied  # what the absent would ask for is kept all the same


def test_past_the_bound_only_what_members_refer_to_is_kept() -> None:
    applied = {n: Applied(hop=10 * n, steps=n, own=vector(n)) for n in range(9)}
    visits = {
        A: Visit(life=LIFE, number=8, hop=80, steps=8),
        B: Visit(life=1, number=1, hop=35, steps=0),
    }
    copy = stream(visits=visits, hop=80)
    assert sorted(prune(applied, copy, [A, B])) == [3, 8]


def test_up_to_the_bound_all_since_the_oldest_last_visit_is_kept() -> None:
    applied = {n: Applied(hop=10 * n, steps=n, own=vector(n)) for n in range(9)}
    visits = {node: Visit(life=1, number=1, hop=55, steps=0) for node in (A, B)}
    assert sorted(prune(applied, stream(visits=visits, hop=80), [A, B])) == [5, 6, 7, 8]
