from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.diagnosis.lead import MAX_CALLS, detectable_step
from lossdoctor.run import Run

from .samples import run

ROWS = run({"loss": (range(10, 10_001, 10), np.ones(1000))})


def above(step: int, calls: list[int]):
    def fires(prefix: Run) -> bool:
        calls.append(prefix.last_step)
        return prefix.last_step >= step

    return fires


@settings(deadline=None)
@given(st.integers(1, 1000).map(lambda row: row * 10))
def test_finds_the_step_of_a_lasting_sign(step: int):
    calls: list[int] = []
    found = detectable_step(ROWS, above(step, calls), last=10_000)
    assert found is not None
    assert step <= found <= step + 20
    assert len(calls) <= 24


def test_evals_are_looked_at():
    one = run({"loss": (range(1, 10_001), np.ones(10_000)), "eval_loss": ([137], [1.0])})
    assert detectable_step(one, above(137, []), last=10_000) == 137


def test_a_sign_that_comes_and_goes_counts_from_where_it_stays():
    def fires(prefix: Run) -> bool:
        return 2000 <= prefix.last_step < 5000 or prefix.last_step >= 7000

    assert detectable_step(ROWS, fires, last=10_000) == 7000


def test_nothing_that_does_not_fire_at_the_end():
    assert detectable_step(ROWS, lambda prefix: prefix.last_step < 5000, last=10_000) is None


@settings(deadline=None, max_examples=50)
@given(st.lists(st.booleans(), min_size=64, max_size=64))
def test_a_restless_rule_stays_within_the_bound(pattern: list[bool]):
    calls: list[int] = []

    def fires(prefix: Run) -> bool:
        calls.append(prefix.last_step)
        return prefix.last_step >= 10_000 or pattern[prefix.last_step * 63 // 10_000]

    found = detectable_step(ROWS, fires, last=10_000)
    assert len(calls) <= MAX_CALLS
    assert found is None or fires(ROWS.until(found))


def test_prefixes_know_nothing_of_the_end():
    seen: list[Run] = []
    whole = run({"loss": (range(10, 101, 10), np.ones(10))}, reached_step=100, finished=True)

    def fires(prefix: Run) -> bool:
        seen.append(prefix)
        return True

    assert detectable_step(whole, fires, last=100) == 10
    assert all(p.finished is None for p in seen)


@settings(deadline=None)
@given(st.integers(1, 999).map(lambda row: row * 10), st.integers(0, 999))
def test_with_a_known_onset_nothing_before_it_is_looked_at(onset: int, later: int):
    step = min(onset + 10 + later * 10, 10_000)
    calls: list[int] = []
    found = detectable_step(ROWS, above(step, calls), last=10_000, onset=onset)
    assert found is not None
    assert step <= found <= step + 20
    assert min(calls) >= onset
    assert len(calls) <= 24


def test_what_shows_soon_is_found_in_few_looks():
    calls: list[int] = []
    assert detectable_step(ROWS, above(5130, calls), last=10_000, onset=5000) == 5130
    assert len(calls) <= 15
