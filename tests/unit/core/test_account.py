"""The accounting rule: each step once, whichever copy comes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flwr_digest.core.account import (
    Account,
    Applied,
    contribute,
    most_history,
    open_account,
    prune,
    settle,
)
from flwr_digest.core.stream import Stream, Visit
from tests.unit.core.builders import LIFE, A, B, C, account, stream, train, vector

MEMBERS = [A, B, C]


def visit(given: Account, to: Stream) -> tuple[Account, Stream, int]:
    settlement = settle(given, to, A, MEMBERS)
    return settlement.account, settlement.stream, settlement.forfeited_steps


def one_history(visits: int) -> dict[int, Applied]:
    """Return the account's history after so many visits of one copy, at each tenth hop."""
    return {
        n: Applied(hop=10 * n, steps=n, own=vector(n), previous=max(n - 1, 0))
        for n in range(visits)
    }


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
        assert len(given.applied) <= most_history(len(MEMBERS))
        assert 0 in given.applied  # what the absent would ask for is kept all the same


def test_past_the_bound_the_history_still_hangs_together() -> None:
    given, copy = account(1), stream()
    for _ in range(8):
        given, copy, _ = visit(train(given, 1), copy)
    copies = [copy]
    for _ in range(60):
        given, copy, _ = visit(train(given, 1), copy)
        copies.append(copy)
    given, _, forfeited = visit(train(given, 1), stream())  # the absent have kept the first model
    assert forfeited == 0
    _, copy, forfeited = visit(given, copies[-1])
    assert (copy.model.item(), forfeited) == (given.steps, 0)


def test_a_copy_with_another_past_makes_nothing_forgotten() -> None:
    applied = {
        4: Applied(hop=40, steps=4, own=vector(4), previous=3),
        5: Applied(hop=35, steps=5, own=vector(5), previous=3),  # visit 3 is forgotten
        6: Applied(hop=50, steps=6, own=vector(6), previous=5),
    }
    visits = {
        A: Visit(life=LIFE, number=6, hop=50, steps=6),
        B: Visit(life=1, number=1, hop=20, steps=0),  # in truth it keeps a copy that knows visit 4
    }
    assert sorted(prune(applied, stream(visits=visits, hop=50), A, [A, B])) == [4, 5, 6]


def test_the_bound_grows_with_the_members() -> None:
    assert [most_history(count) for count in (1, 8, 9, 32)] == [16, 16, 18, 64]


def test_past_the_bound_only_what_members_refer_to_is_kept() -> None:
    visits = {
        A: Visit(life=LIFE, number=19, hop=190, steps=19),
        B: Visit(life=1, number=1, hop=35, steps=0),
        C: Visit(life=1, number=1, hop=100, steps=0),
    }
    copy = stream(visits=visits, hop=190)
    assert sorted(prune(one_history(20), copy, A, MEMBERS)) == [3, 10, 19]


def test_up_to_the_bound_all_since_the_oldest_last_visit_is_kept() -> None:
    visits = {
        A: Visit(life=LIFE, number=19, hop=190, steps=19),
        B: Visit(life=1, number=1, hop=45, steps=0),
    }
    kept = prune(one_history(20), stream(visits=visits, hop=190), A, [A, B])
    assert sorted(kept) == list(range(4, 20))  # 16 of them


# --- copies with different histories -------------------------------------------------------------


def test_history_is_forgotten_along_the_copys_own_way() -> None:
    applied = {
        0: Applied(hop=0, steps=0, own=vector(0), previous=0),
        1: Applied(hop=5, steps=1, own=vector(1), previous=0),
        2: Applied(hop=3, steps=2, own=vector(2), previous=0),  # another copy, from before hop 5
        3: Applied(hop=9, steps=3, own=vector(3), previous=1),
    }
    visits = {
        A: Visit(life=LIFE, number=3, hop=9, steps=3),
        B: Visit(life=1, number=1, hop=4, steps=0),  # keeps a copy from before the first visit
        C: Visit(life=1, number=1, hop=8, steps=0),
    }
    kept = prune(applied, stream(visits=visits, hop=9), A, MEMBERS)
    assert 0 in kept  # and not: visit 2 is older than hop 4, so nothing before it is needed


def test_each_visit_knows_the_one_before_in_its_own_history() -> None:
    given, first, _ = visit(account(1), stream())
    given, _, _ = visit(given, first)
    given, _, _ = visit(given, first)
    given, _, _ = visit(given, stream())
    assert {n: entry.previous for n, entry in given.applied.items()} == {
        0: 0,
        1: 0,
        2: 1,
        3: 1,
        4: 0,
    }


# --- states that were lost, or put back ----------------------------------------------------------


def test_an_account_that_was_put_back_gives_its_work_up_rather_than_count_it_twice() -> None:
    old, copy, _ = visit(account(3, life=1), stream())
    _, copy, _ = visit(account(2, life=2), copy)
    old, copy, forfeited = visit(old, copy)
    assert (copy.model.item(), forfeited) == (5, 3)  # at most 3: in truth they were there already
    _, copy, forfeited = visit(train(old, 4), copy)
    assert (copy.model.item(), forfeited) == (9, 0)


def test_two_visits_of_one_number_are_told_apart() -> None:
    saved, old, _ = visit(account(3), stream())
    _, left, _ = visit(train(saved, 2), old)  # what happened after the state was saved ...
    back, _, _ = visit(train(saved, 4), old)  # ... is not known to the one that came back
    assert left.last_visit(A).number == back.latest
    back, left, forfeited = visit(back, left)
    assert left.model.item() == 5
    assert forfeited >= 2  # 7 were made as far as is known, 5 are contained
    _, left, _ = visit(train(back, 1), left)
    assert left.model.item() == 6


def test_what_was_lost_with_a_state_is_no_negative_forfeit() -> None:
    saved, copy, _ = visit(account(3), stream())
    _, copy, _ = visit(train(saved, 2), copy)
    saved, copy, forfeited = visit(saved, copy)
    assert (copy.model.item(), forfeited) == (5, 0)
    assert copy.last_visit(A).number == saved.latest == 3  # above both that it had before


def test_work_that_no_visit_has_taken_up_counts_as_given_up() -> None:
    saved, copy, _ = visit(account(3), stream())
    _, copy, _ = visit(train(saved, 9), copy)
    assert settle(train(saved, 2), copy, A, MEMBERS).forfeited_steps == 2  # and not 5 - 12


# --- rounding ------------------------------------------------------------------------------------


def test_rounding_does_not_grow_with_the_length_of_the_run() -> None:
    given, copy = account(), stream()
    for _ in range(200):
        moved = contribute(given, vector(1e4), 1, weight=1.0)
        given, copy, _ = visit(moved, replace(seen_by_others(copy), model=vector(0)))
        assert abs(given.own.item()) <= 2e4  # and not two million
    assert given.applied[min(given.applied)].own.item() == 0


def test_what_is_taken_off_changes_no_difference() -> None:
    given, copy = account(1), stream()
    for made in range(1, 30):
        given, copy, forfeited = visit(train(given, 1), seen_by_others(copy))
        assert (copy.model.item(), forfeited) == (1 + made, 0)
    assert given.own.dtype == np.float32
