"""Paired effects, against closed forms."""

import numpy as np
import pytest

from fpnbench.report.effect import paired_effect


def test_interval_of_many_pairs_is_the_normal_one():
    values = np.random.default_rng(1).normal(0.3, 2.0, size=2000)
    effect = paired_effect(values.tolist())
    half = 1.96 * values.std() / np.sqrt(2000)
    assert effect.mean == pytest.approx(values.mean())
    assert effect.low == pytest.approx(values.mean() - half, abs=0.01)
    assert effect.high == pytest.approx(values.mean() + half, abs=0.01)


def test_sign_test_by_hand():
    """Four wins of five: (5 + 1) / 2**5; the tie is left out."""
    effect = paired_effect([1.0, 2.0, 0.5, 3.0, -1.0, 0.0])
    assert (effect.wins, effect.losses) == (4, 1)
    assert effect.p == pytest.approx(6 / 32)


def test_equal_runs_show_no_effect():
    effect = paired_effect([0.0] * 5)
    assert (effect.mean, effect.low, effect.high, effect.p) == (0, 0, 0, 1)


def test_the_same_differences_have_the_same_interval():
    values = [0.1, -0.2, 0.4, 0.3]
    assert paired_effect(values) == paired_effect(values)
