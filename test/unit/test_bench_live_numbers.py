"""What is made of what the bench's ears heard."""

import numpy as np
import pytest

from gem_ros.benchmarks import live
from gem_ros.benchmarks.filming import Film, pooled


class Ears:
    """As much of a Robot as the numbers need: images 1, 2 and 3, handed over 5 ns after their stamp."""

    sent = {1: 6, 2: 7, 3: 8}  # noqa: RUF012
    heard = {"result": {1: 1_000_006, 3: 4_000_008}, "target": {3: 2_000_008}}  # noqa: RUF012


class Process:
    def check(self):
        pass

    def failure(self, what):
        return RuntimeError(what)


def test_latency_is_to_the_last_answer_of_those_that_are_complete():
    assert live.latencies(Ears(), ("result",), [1, 2, 3], Process()) == pytest.approx([1.0, 4.0])
    assert live.latencies(Ears(), ("result", "target"), [1, 2, 3], Process()) == pytest.approx([4.0])


def test_no_answer_is_an_error(monkeypatch):
    monkeypatch.setattr(live, "DRAIN", 0.0)
    with pytest.raises(RuntimeError, match="answers to 1 images"):
        live.latencies(Ears(), ("result",), [2], Process())


def test_rate_is_from_the_first_image_to_the_last_answer():
    assert live.per_second(Ears(), "result", [1, 2, 3]) == pytest.approx(2 / (4_000_002 * 1e-9))
    assert live.per_second(Ears(), "target", [1, 2, 3]) == pytest.approx(1 / (2_000_002 * 1e-9))


def test_films_are_pooled_by_image():
    films = [
        Film(shown=2, latency=np.array([1.0, 2.0]), rate=10.0, cpu=20.0, grown=0.0, peak=300.0),
        Film(shown=2, latency=np.array([9.0]), rate=20.0, cpu=10.0, grown=2.0, peak=200.0),
    ]
    both = pooled(films)
    assert (both.shown, both.latency.tolist(), both.peak) == (4, [1.0, 2.0, 9.0], 300.0)
    assert (both.rate, both.cpu, both.grown) == (15.0, 15.0, 1.0)
