"""The accounting rule: each step once, whichever copy comes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flwr_digest.core.account import (
    VISITS_TO_REBASE,
    Account,
    Applied,
    contribute,
    deposit,
    has_news,
    holds,
    most_history,
    open_account,
    prune,
    settle,
)
from flwr_digest.core.cargo import Cargo
from flwr_digest.core.ids import Fence
from flwr_digest.core.stream import Stream, Visit
from tests.unit.core.builders import (
    LIFE,
    A,
    B,
    C,
    account,
    applied,
    cargo,
    stream,
    train,
    vector,
)

MEMBERS = [A, B, C]


def visit(given: Account, to: Stream) -> tuple[Account, Stream, int]:
    settlement = settle(given, to, A, MEMBERS)
    return settlement.account, settlement.stream, settlement.forfeited_steps


def one_history(visits: int) -> dict[int, Applied]:
    """Return the account's history after so many visits of one copy, at each tenth hop."""
    return {n: applied(10 * n, n, max(n - 1, 0)) for n in range(visits)}


def seen_by_others(copy: Stream) -> Stream:
    """Return the copy after a tour of all others, so that nobody needs what was before."""
    others = {
        node: Visit(life=1, number=1, hop=copy.hop + n, steps=0) for n, node in enumerate((B, C), 1)
    }
    return stream(model=copy.model, hop=copy.hop + 2, visits={**copy.visits, **others})


def test_a_contribution_is_added_to_the_inflow() -> None:
    empty = Cargo(model=vector(0, 0))
    given = contribute(open_account(empty, LIFE), Cargo(model=vector(2, -4)), steps=3)
    given = contribute(given, Cargo(model=vector(1, 0)), steps=2)
    assert given.inflow.model.tolist() == [3, -4]
    assert (given.steps, given.entries) == (5, 2)


def test_a_contribution_counts_by_its_weight() -> None:
    own = replace(open_account(cargo(0, rate=0), LIFE), own=cargo(7))
    given = contribute(own, cargo(2, rate=8), steps=3, weight=0.5)
    assert (given.inflow, given.own) == (cargo(1, rate=4), cargo(8))
    assert given.steps == 3


def test_a_contribution_leaves_the_old_account_as_it_was() -> None:
    before = account(2)
    train(before, 5)
    assert (before.inflow.model.item(), before.steps, before.entries) == (2, 2, 1)


def test_a_contribution_keeps_the_dtype() -> None:
    assert train(account(), 1).inflow.model.dtype == "float32"


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


def test_each_visit_that_changes_the_cargo_is_counted() -> None:
    given, copy, _ = visit(account(1), stream())
    given, copy, _ = visit(given, copy)
    _, copy, _ = visit(train(given, 1), copy)
    assert (copy.hop, copy.changes) == (3, 2)


def test_whether_there_is_news_can_be_asked_before_a_visit() -> None:
    given = account(1)
    assert has_news(given, stream(), A)
    given, copy, _ = visit(given, stream())
    assert not has_news(given, copy, A)
    assert has_news(given, stream(), A)  # the copy from before lacks it still
    assert has_news(train(given, 1), copy, A)


def test_what_came_in_without_steps_is_news_too() -> None:
    given, copy, _ = visit(account(1), stream())
    passed_on = contribute(given, cargo(5), steps=0)
    assert has_news(passed_on, copy, A)
    settlement = settle(passed_on, copy, A, MEMBERS)
    assert (settlement.stream.model.item(), settlement.news) == (6, True)
    assert settlement.stream.last_visit(A).steps == 1


def test_a_visit_brings_rates_as_it_brings_the_model() -> None:
    given = contribute(open_account(cargo(0, 0), LIFE), cargo(2, rate=6), 1)
    given, copy, _ = visit(given, stream(model=vector(1), rate=vector(10)))
    assert copy.cargo == cargo(3, rate=16)
    _, copy, _ = visit(given, copy)
    assert copy.cargo == cargo(3, rate=16)


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


def test_it_can_be_told_beforehand_whether_a_copy_is_too_old() -> None:
    given, old, _ = visit(account(3), stream())
    newer = old
    for _ in range(3):
        given, newer, _ = visit(train(given, 2), seen_by_others(newer))
    assert not holds(given, old, A)
    assert not holds(given, stream(), A)  # the initial model
    assert holds(given, newer, A)


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
    history = {
        4: applied(40, 4, 3),
        5: applied(35, 5, 3),  # visit 3 is forgotten
        6: applied(50, 6, 5),
    }
    visits = {
        A: Visit(life=LIFE, number=6, hop=50, steps=6),
        B: Visit(life=1, number=1, hop=20, steps=0),  # in truth it keeps a copy that knows visit 4
    }
    assert sorted(prune(history, stream(visits=visits, hop=50), A, [A, B])) == [4, 5, 6]


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


def test_past_the_bound_the_last_entry_of_each_fence_is_kept_for_re_issued_copies() -> None:
    history = one_history(20)
    for number in range(8, 13):
        history[number] = replace(history[number], fence=Fence(4, C))
    for number in range(13, 20):
        history[number] = replace(history[number], fence=Fence(5, B))
    visits = {
        A: Visit(life=LIFE, number=19, hop=190, steps=19),
        B: Visit(life=1, number=1, hop=35, steps=0),
        C: Visit(life=1, number=1, hop=100, steps=0),
    }
    kept = prune(history, stream(visits=visits, hop=190), A, MEMBERS)
    assert sorted(kept) == [3, 7, 10, 12, 19]  # 7 and 12: the last of the first two fences
    assert [kept[n].previous for n in sorted(kept)] == [2, 3, 7, 10, 12]


def test_of_too_many_fences_the_latest_are_kept() -> None:
    history = {n: replace(e, fence=Fence(n, B)) for n, e in one_history(40).items()}
    visits = {A: Visit(life=LIFE, number=39, hop=390, steps=39)}
    kept = prune(history, stream(visits=visits, hop=390), A, MEMBERS)
    assert sorted(kept) == [0, *range(25, 40)]  # 16 of them: 0 is what the absent refer to


# --- copies with different histories -------------------------------------------------------------


def test_history_is_forgotten_along_the_copys_own_way() -> None:
    history = {
        0: applied(0, 0, 0),
        1: applied(5, 1, 0),
        2: applied(3, 2, 0),  # another copy, from before hop 5
        3: applied(9, 3, 1),
    }
    visits = {
        A: Visit(life=LIFE, number=3, hop=9, steps=3),
        B: Visit(life=1, number=1, hop=4, steps=0),  # keeps a copy from before the first visit
        C: Visit(life=1, number=1, hop=8, steps=0),
    }
    kept = prune(history, stream(visits=visits, hop=9), A, MEMBERS)
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


# --- deposits ------------------------------------------------------------------------------------


def test_a_deposit_is_what_the_stream_learned_elsewhere() -> None:
    given, copy, _ = visit(account(3), stream(model=vector(10)))
    given, change = deposit(replace(given, deposit=cargo(10)), copy)
    assert change == cargo(0)
    given, copy, _ = visit(train(given, 2), replace(copy, model=copy.model + 4))
    given, change = deposit(given, copy)
    assert change == cargo(4)
    assert deposit(given, copy)[1] == cargo(0)  # it is passed on once


def test_the_initial_model_is_no_deposit() -> None:
    given = open_account(cargo(10), LIFE)
    given, copy, _ = visit(train(given, 2), stream(model=vector(10)))
    assert deposit(given, copy)[1] == cargo(0)


def test_what_an_older_copy_does_not_know_is_taken_back() -> None:
    given, old, _ = visit(account(3), stream())
    given, newer, _ = visit(given, replace(old, model=old.model + 4))
    given, change = deposit(given, newer)
    assert change == cargo(4)
    given, again, _ = visit(given, old)
    assert deposit(given, again)[1] == cargo(-4)


def test_a_deposit_is_of_rates_too() -> None:
    given = contribute(open_account(cargo(0, 0), LIFE), cargo(1, rate=2), 1)
    given, copy, _ = visit(given, stream(rate=vector(7)))
    assert deposit(given, copy)[1] == cargo(0, rate=7)


def test_after_a_loss_only_what_is_learned_from_then_on_is_known() -> None:
    given, copy, _ = visit(replace(account(), deposit=None), stream(model=vector(10)))
    given, change = deposit(given, copy)
    assert change is None
    assert deposit(given, replace(copy, model=copy.model + 4))[1] == cargo(4)


def test_what_is_taken_off_leaves_the_deposits_right() -> None:
    given, copy, most = account(1), stream(), 0.0
    for learned in range(3 * VISITS_TO_REBASE):
        given, copy, _ = visit(train(given, 1), seen_by_others(copy))
        copy = replace(copy, model=copy.model + learned)
        given, change = deposit(given, copy)
        assert change == cargo(learned)
        most = max(most, given.inflow.model.item())
    assert most <= VISITS_TO_REBASE + 2  # something was taken off


# --- rounding ------------------------------------------------------------------------------------


def test_rounding_does_not_grow_with_the_length_of_the_run() -> None:
    given, copy, most = account(), stream(), 0.0
    for _ in range(4 * VISITS_TO_REBASE):
        moved = contribute(given, cargo(1e4), 1)
        given, copy, _ = visit(moved, replace(seen_by_others(copy), model=vector(0)))
        most = max(most, given.inflow.model.item())
    assert most <= 1e4 * (VISITS_TO_REBASE + 2)  # and not four times as much
    assert given.latest % VISITS_TO_REBASE == 0
    assert given.applied[min(given.applied)].inflow.model.item() == 0


def test_nothing_is_taken_off_while_the_initial_model_may_come_back() -> None:
    given, copy = account(), stream()
    for _ in range(2 * VISITS_TO_REBASE):
        given, copy, _ = visit(train(given, 1), copy)  # nobody else was ever visited
    assert given.applied[0].inflow.model.item() == 0
    _, first, forfeited = visit(given, stream())
    assert (first.model.item(), forfeited) == (2 * VISITS_TO_REBASE, 0)


def test_what_is_taken_off_changes_no_difference() -> None:
    given, copy = account(1), stream()
    for made in range(1, 3 * VISITS_TO_REBASE):
        given, copy, forfeited = visit(train(given, 1), seen_by_others(copy))
        assert (copy.model.item(), forfeited) == (1 + made, 0)
    assert given.inflow.model.dtype == np.float32
