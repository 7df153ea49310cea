"""Means, quantiles and AUROC of values that count several times: for many resamples at once.

``weights`` (B, N) say how often each of N values counts in each of B resamples; every function gives (B,), and of ones
what it is of the values themselves. NaN where nothing counts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


def mean(values: npt.ArrayLike, weights: Values) -> Values:
    """(N,) -> (B,) mean; sums are numpy's, not BLAS's, whose order depends on the number of threads."""
    total: Values = (weights * np.asarray(values, np.float64)).sum(axis=1)
    return divided(total, weights.sum(axis=1))


def divided(above: Values, below: Values) -> Values:
    """``above / below``, NaN where that is a share of nothing."""
    shares: Values = np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
    return shares


def quantile(values: npt.ArrayLike, weights: Values, share: float) -> Values:
    """(N,) -> (B,) quantile in [0, 1] of the values repeated as often as they count, linear between ranks."""
    column = np.asarray(values, np.float64)
    if not column.size:
        return np.full(len(weights), np.nan)
    order = np.argsort(column, kind="stable")
    column, below = column[order], np.cumsum(weights[:, order], axis=1)
    count = below[:, -1]
    rank = share * (count - 1)
    low = np.floor(rank)

    def at(ranks: Values) -> Values:
        found = (below <= ranks[:, None]).sum(axis=1)
        return np.asarray(column[np.minimum(found, column.size - 1)], np.float64)

    first, second = at(low), at(np.minimum(low + 1, count - 1))
    return np.where(count > 0, first + (rank - low) * (second - first), np.nan)


def auroc(scores: npt.ArrayLike, present: npt.NDArray[np.bool_], weights: Values) -> Values:
    """(N,) -> (B,): probability that a present one's score exceeds an absent one's, ties counting half."""
    column = np.asarray(scores, np.float64)
    if not column.size:
        return np.full(len(weights), np.nan)
    order = np.argsort(column, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(column[order]) > 0))  # of groups of equal scores
    above, below = (
        np.add.reduceat(np.where(each[order], weights[:, order], 0.0), starts, axis=1) for each in (present, ~present)
    )
    beaten = np.cumsum(below, axis=1) - below / 2
    return divided((above * beaten).sum(axis=1), above.sum(axis=1) * below.sum(axis=1))
