import pytest

from fpnbench.graph.errors import UserError
from fpnbench.search.budget import DEFAULT_SECONDS, Tally, parse_budget
from fpnbench.search.trial import Status, Trial

NOTHING = (0.0, 0, 0.0)
NULLS = dict.fromkeys(("trials", "evaluations", "images", "gmacs", "seconds"))
LIMITS = {**NULLS, "max_failures": 3, "max_repeats": 4}
BIG = 10**9


def tally_of(*statuses: Status, **charges: float) -> Tally:
    tally = Tally()
    for number, status in enumerate(statuses):
        reward = 0.5 if status in ("evaluation", "repeat") else None
        trial = Trial(
            number, (number,), f"k{number}", 1, status, reward, None, **charges
        )
        tally.add(trial)
    return tally


def test_every_trial_is_evaluation_repeat_or_failure() -> None:
    tally = tally_of("evaluation", "repeat", "failed", "infeasible", "timeout")
    assert (tally.evaluations, tally.repeats, tally.failures) == (1, 1, 3)
    assert tally.trials == 5


@pytest.mark.parametrize(
    ("limit", "value"),
    [("trials", 2), ("evaluations", 2), ("images", 20), ("gmacs", 3.0), ("seconds", 4)],
)
def test_each_limit_ends_the_run_when_it_is_reached(limit: str, value: float) -> None:
    budget = parse_budget({**LIMITS, limit: value})
    charges = {"seconds": 2.0, "images": 10, "gmacs": 1.5}
    one = tally_of("evaluation", **charges)
    two = tally_of("evaluation", "evaluation", **charges)
    assert budget.ending(one, NOTHING, BIG) is None
    ending = budget.ending(two, NOTHING, BIG)
    assert ending is not None
    assert ending.name == "done"
    assert limit in ending.reason


def test_what_the_searcher_spends_is_charged() -> None:
    budget = parse_budget({**LIMITS, "seconds": 4.0, "images": 50, "gmacs": 7.0})
    tally = tally_of("evaluation")
    assert budget.ending(tally, (3.9, 49, 6.9), BIG) is None
    for spent in ((4.0, 0, 0.0), (0.0, 50, 0.0), (0.0, 0, 7.0)):
        assert budget.ending(tally, spent, BIG) is not None


def test_repeats_cost_trials_but_no_evaluations() -> None:
    budget = parse_budget({**LIMITS, "evaluations": 2})
    assert (
        budget.ending(tally_of("evaluation", "repeat", "repeat"), NOTHING, BIG) is None
    )


def test_only_failures_in_a_row_end_a_run_and_infeasible_ones_are_passed_over() -> None:
    budget = parse_budget({**LIMITS, "trials": 1000, "max_repeats": 100})

    def name(*statuses: Status) -> str | None:
        ending = budget.ending(tally_of(*statuses), NOTHING, BIG)
        return ending and ending.name

    assert name("failed", "failed", "evaluation", "failed") is None
    assert name("failed", "failed", "repeat", "failed") is None
    assert name("infeasible", "infeasible", "infeasible", "infeasible") is None
    assert name("failed", "infeasible", "failed", "timeout") == "failures"


def test_a_searcher_with_nothing_new_to_say_stalls() -> None:
    budget = parse_budget({**LIMITS, "trials": 1000})
    moving = tally_of(
        "repeat", "repeat", "evaluation", "infeasible", "repeat", "repeat"
    )
    assert budget.ending(moving, NOTHING, BIG) is None
    idle = tally_of("evaluation", "repeat", "infeasible", "repeat", "repeat")
    ending = budget.ending(idle, NOTHING, BIG)
    assert ending is not None
    assert ending.name == "stalled"


def test_a_finite_space_is_exhausted_when_every_vector_is_known() -> None:
    budget = parse_budget({**LIMITS, "trials": 1000})
    tally = tally_of("evaluation", "evaluation", "repeat")
    assert budget.ending(tally, NOTHING, 4) is None
    ending = budget.ending(tally, NOTHING, 3)
    assert ending is not None
    assert ending.name == "exhausted"


def test_without_any_limit_a_run_has_the_default_seconds() -> None:
    assert parse_budget(LIMITS).seconds == DEFAULT_SECONDS
    assert parse_budget({**LIMITS, "images": 5}).seconds is None


@pytest.mark.parametrize("value", [0, -1, "abc", 2.5, True, float("nan")])
def test_a_limit_that_is_no_whole_number_above_zero_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=f"budget.trials={value}"):
        parse_budget({**LIMITS, "trials": value})


def test_real_limits_may_have_fractions_but_not_be_zero() -> None:
    assert parse_budget({**LIMITS, "gmacs": 0.5}).gmacs == 0.5
    with pytest.raises(UserError, match=r"budget\.seconds=0"):
        parse_budget({**LIMITS, "seconds": 0})


def test_unknown_keys_and_missing_guards_are_refused() -> None:
    with pytest.raises(UserError, match=r"budget\.hours is not known; budget takes"):
        parse_budget({**LIMITS, "hours": 3})
    with pytest.raises(UserError, match=r"budget\.max_failures=null"):
        parse_budget({**LIMITS, "max_failures": None})
