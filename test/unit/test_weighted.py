"""Values that count several times are those values repeated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gem_ros.replay import weighted

counted = st.lists(st.tuples(st.integers(-5, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12)


def split(rows):
    values, present, counts = (np.array(each) for each in zip(*rows, strict=True))
    return values.astype(float), present.astype(bool), counts[None].astype(float), np.repeat(values, counts)


@given(counted, st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_quantile_is_numpys_of_the_repeated_values(rows, share):
    values, _, counts, repeated = split(rows)
    found = weighted.quantile(values, counts, share)[0]
    assert np.isnan(found) if not repeated.size else found == pytest.approx(np.percentile(repeated, 100 * share))


@given(counted)
def test_mean_is_numpys_of_the_repeated_values(rows):
    values, _, counts, repeated = split(rows)
    found = weighted.mean(values, counts)[0]
    assert np.isnan(found) if not repeated.size else found == pytest.approx(repeated.mean())


@given(counted)
def test_auroc_is_the_share_of_pairs_in_order(rows):
    values, present, counts, _ = split(rows)
    above = np.repeat(values[present], counts[0, present].astype(int))
    below = np.repeat(values[~present], counts[0, ~present].astype(int))
    found = weighted.auroc(values, present, counts)[0]
    pairs = above[:, None] - below[None]
    assert np.isnan(found) if not pairs.size else found == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))


def test_resamples_are_independent_of_each_other():
    weights = np.array([[1.0, 0, 2], [0, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(weighted.mean([1.0, 5, 4], weights), [3, np.nan, 10 / 3])
    np.testing.assert_allclose(weighted.quantile([1.0, 5, 4], weights, 0.5), [4, np.nan, 4])


def test_nothing_is_not_a_number():
    assert np.isnan([weighted.mean([], np.ones((1, 0))), weighted.quantile([], np.ones((1, 0)), 0.5)]).all()
    assert np.isnan(weighted.auroc([], np.zeros(0, bool), np.ones((1, 0)))).all()
