"""From evidence to a probability: which evidence, the fit, and how good it is; pure functions of arrays.

A *question* is one query about one image. What is hard about some of them is told apart: a query for something
absent that shares a word with something in view, and one for something present beside another of its colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from gem_ros.errors import ModelError
from gem_ros.models import EVIDENCES, Evidence, Presence
from gem_ros.replay.metrics import (
    OperatingPoint,
    ReliabilityBin,
    auroc,
    brier_score,
    calibration_error,
    operating_point,
    reliability,
)

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

TIE = 0.002  # of AUROC: what is not better than the plain cosine by more is not worth another rule
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)
ACCEPTED = 0.05  # share of absent things that may be found
BLOCKS = 10  # neighbouring images of a recording show the same: whole blocks of them are held out
ENOUGH_IMAGES = 20  # from which half of them can be held out
RIDGE = 1e-6  # only so that evidences that say the same have one best combination
FILLERS = frozenset({"a", "an", "the", "of", "in", "on", "with", "and"})  # words that mean no thing


@dataclass(frozen=True, eq=False)
class Samples:
    """N questions in the order of their images.

    ``evidence`` by kind (N,); ``present`` (N,): is it in view; ``hard`` (N,), see :func:`is_hard`; ``image`` (N,)
    the number of the image.
    """

    evidence: Mapping[str, Values]
    present: Flags
    hard: Flags
    image: npt.NDArray[np.int64]

    def __getitem__(self, chosen: Flags) -> Samples:
        evidence = {kind: values[chosen] for kind, values in self.evidence.items()}
        return Samples(evidence, self.present[chosen], self.hard[chosen], self.image[chosen])


@dataclass(frozen=True)
class Separation:
    """AUROC of present against absent: all, only the hard ``absent_alike``, only the hard ``same_colour``; NaN
    where there is none of one side."""

    all: float
    absent_alike: float
    same_colour: float


@dataclass(frozen=True)
class Judgement:
    """How good scores are: the ``points`` of all questions, and of the hard ones alone, threshold by threshold."""

    present: int
    absent: int
    same_colour: int
    absent_alike: int
    separation: Separation
    brier: float
    calibration_error: float
    points: tuple[OperatingPoint, ...]
    hard_points: tuple[OperatingPoint, ...]
    bins: tuple[ReliabilityBin, ...]


def is_hard(query: str, in_view: Iterable[str], present: bool) -> bool:
    """Whether ``query`` is easily mistaken for something else among the queries ``in_view``.

    Present: another one begins with the same word (its colour). Absent: one shares a word. Capitals and
    words like "the" do not count.
    """
    words = _words(query)
    others = [other for each in in_view if (other := _words(each)) != words]
    if present:
        return any(other[:1] == words[:1] for other in others if other)
    return any(set(words) & set(other) for other in others)


def _words(query: str) -> list[str]:
    return [word for word in query.lower().split() if word not in FILLERS]


def check_both(samples: Samples) -> None:
    """Raise :class:`ModelError` where only present or only absent questions were asked."""
    present, absent = int(samples.present.sum()), int((~samples.present).sum())
    if not present or not absent:
        raise ModelError(
            f"calibration: expected queries for things that are in view and for things that are not, got {present} "
            f"and {absent}; add {'absent' if present else 'present'} ones"
        )


def fit_logistic(evidence: npt.ArrayLike, present: npt.ArrayLike) -> tuple[Values, float]:
    """Weights w (K,) and b of the probability σ(w·evidence + b) that explains ``present`` (N,) best.

    ``evidence`` is (N,) or (N, K). Every question weighs the same. The targets are Platt's
    ("Probabilistic Outputs for Support Vector Machines", 1999): (n₊ + 1)/(n₊ + 2) for the n₊ present and
    1/(n₋ + 2) for the n₋ absent, not 1 and 0, as if one more of each had been seen the other way. So the
    weights stay finite where the evidence separates all, and the more so the fewer questions were asked.
    """
    x = np.asarray(evidence, np.float64)
    x = x[:, None] if x.ndim == 1 else x
    truth = np.asarray(present, bool)
    centre, spread = x.mean(axis=0), x.std(axis=0)
    z = (x - centre) / np.where(spread > 0, spread, 1.0)
    positive, negative = int(truth.sum()), int((~truth).sum())
    target = np.where(truth, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(parameters: Values) -> tuple[float, Values]:
        logit = z @ parameters[:-1] + parameters[-1]
        error = special.expit(logit) - target
        value = np.mean(np.logaddexp(0, logit) - target * logit) + RIDGE * (parameters[:-1] ** 2).sum()
        slope = np.append(error @ z / len(z) + 2 * RIDGE * parameters[:-1], error.mean())
        return float(value), slope

    fitted = optimize.minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="BFGS", options={"gtol": 1e-8}).x
    weights = fitted[:-1] / np.where(spread > 0, spread, 1.0)
    return weights, float(fitted[-1] - weights @ centre)


def choose_evidence(samples: Samples) -> Evidence:
    """The kind that separates best by AUROC; ``cosine`` where no other beats it by more than :data:`TIE`."""
    areas = {kind: separation(samples, samples.evidence[kind]).all for kind in EVIDENCES}
    best = max(EVIDENCES, key=lambda kind: areas[kind])
    return best if areas[best] > areas["cosine"] + TIE else "cosine"


def fit_presence(samples: Samples, evidence: Evidence | None = None) -> Presence:
    """The score's evidence (chosen by :func:`choose_evidence` where not given), a and b.

    Raises :class:`ModelError` where there is nothing to tell apart, or no evidence does.
    """
    check_both(samples)
    if not all(np.isfinite(values).all() for values in samples.evidence.values()):
        raise ModelError(
            "calibration: expected finite evidence, got NaN or Inf; the model does not work at this precision"
        )
    kind = evidence or choose_evidence(samples)
    weights, b = fit_logistic(samples.evidence[kind], samples.present)
    a = round(float(weights[0]), 4)
    if a <= 0:
        area = separation(samples, samples.evidence[kind]).all
        raise ModelError(
            f"calibration: expected evidence that is larger for what is in view, got an AUROC of {area:.2f}; "
            "look whether the truth fits the images, or choose another model"
        )
    return Presence(kind, a, round(b, 4))


def scores(samples: Samples, presence: Presence) -> Values:
    """(N,) probabilities in [0, 1], as :func:`gem_ros.core.similarity.presence_scores` gives them."""
    return np.asarray(special.expit(presence.a * samples.evidence[presence.evidence] + presence.b), np.float64)


def separation(samples: Samples, values: npt.ArrayLike) -> Separation:
    """How well ``values`` (N,) tell present from absent, in the hard cases too."""
    of, present, hard = np.asarray(values), samples.present, samples.hard
    return Separation(
        auroc(of[present], of[~present]),
        auroc(of[present], of[~present & hard]),
        auroc(of[present & hard], of[~present]),
    )


def combined(samples: Samples, kinds: Sequence[str]) -> Values:
    """(N,) logits of the best logistic combination of several evidences, fitted on these very samples.

    About the most that a rule made of all of them could gain over the best one.
    """
    table = np.stack([samples.evidence[kind] for kind in kinds], axis=1)
    weights, b = fit_logistic(table, samples.present)
    return np.asarray(table @ weights + b)


def judge(samples: Samples, values: npt.ArrayLike, thresholds: Iterable[float] = THRESHOLDS) -> Judgement:
    """How good the scores ``values`` (N,) of ``samples`` are, at ``thresholds`` and over all."""
    of, present, hard = np.asarray(values), samples.present, samples.hard
    at, bins = tuple(thresholds), tuple(reliability(of, present))
    return Judgement(
        present=int(present.sum()),
        absent=int((~present).sum()),
        same_colour=int((present & hard).sum()),
        absent_alike=int((~present & hard).sum()),
        separation=separation(samples, of),
        brier=brier_score(of, present),
        calibration_error=calibration_error(bins),
        points=tuple(operating_point(of, present, each) for each in at),
        hard_points=tuple(operating_point(of[hard], present[hard], each) for each in at),
        bins=bins,
    )


def threshold_for(values: npt.ArrayLike, present: npt.ArrayLike, accepted: float = ACCEPTED) -> float:
    """The lowest of the thresholds 0, 0.01 … 1 at which at most ``accepted`` of the absent ones are found; else 1."""
    tried = np.arange(101) / 100
    enough = (each for each in tried.tolist() if not operating_point(values, present, each).false_found > accepted)
    return next(enough, 1.0)


def halves(samples: Samples, images: int) -> tuple[Flags, Flags] | None:
    """(N,) questions to fit on and (N,) to be judged by: every other one of :data:`BLOCKS` blocks of images.

    None where ``images`` are fewer than :data:`ENOUGH_IMAGES`, or one half shows only present or only absent things.
    """
    if images < ENOUGH_IMAGES:
        return None
    first = samples.image * BLOCKS // images % 2 == 0
    if any(len(np.unique(samples.present[half])) < 2 for half in (first, ~first)):
        return None
    return first, ~first
