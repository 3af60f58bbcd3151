from itertools import pairwise

import pytest

from longwriter.instructions.funnel import STEPS, Step, funnel
from longwriter.instructions.selection import REASONS


def test_each_step_begins_with_what_the_one_before_it_left():
    steps = funnel(100, {"malformed": 3, "toxic": 2, "scraping": 5, "over_limit": 30})
    assert steps[0] == Step("readable", 100, 97, {"malformed": 3})
    assert steps[4] == Step("harmless", 97, 90, {"toxic": 2, "scraping": 5})
    assert steps[-1] == Step("chosen", 90, 60, {"over_limit": 30})
    assert [step.name for step in steps] == list(STEPS)
    assert all(one.rows_out == two.rows_in for one, two in pairwise(steps))


def test_a_funnel_of_nothing_is_empty():
    assert all(step == Step(step.name, 0, 0, {}) for step in funnel(0, {}))


def test_a_reason_that_no_step_has_is_refused():
    with pytest.raises(ValueError, match="no step has the reason tired: add it to funnel"):
        funnel(5, {"tired": 1})


def test_every_fate_of_a_candidate_belongs_to_one_step():
    known = [reason for reasons in STEPS.values() for reason in reasons]
    assert len(set(known)) == len(known)
    assert set(REASONS[1:]) <= set(known)
