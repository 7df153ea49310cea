"""The texts that the bundled model is trained on, and which objects and backgrounds each one is true of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gem_ros.sim.vocabulary import BACKGROUNDS, CANONICAL, COLOURS, KINDS, SYNONYMS

# Columns of a window's coverage after the objects: floor, wall, table top, sky, other.
BACKGROUND_COLUMNS = 5
PAIRS = len(KINDS) * len(COLOURS)


@dataclass(frozen=True, eq=False)
class PromptBank:
    """``texts`` (T,); ``objects`` (T, 120) bool: true of kind·12 + colour; ``background`` (T, 5) bool;
    ``unclear`` (T, 5) bool: neither true nor false of that background (a table top is part of a table)."""

    texts: tuple[str, ...]
    objects: npt.NDArray[np.bool_]
    background: npt.NDArray[np.bool_]
    unclear: npt.NDArray[np.bool_]


def prompt_bank() -> PromptBank:
    """All colour-kind pairs (first, kind-major), then kinds, colours, backgrounds and canonical phrases."""
    texts = [f"{colour} {kind}" for kind in KINDS for colour in COLOURS]
    objects = list(np.eye(PAIRS, dtype=bool))
    nothing = np.zeros(BACKGROUND_COLUMNS, bool)
    background = [nothing] * PAIRS
    grid = np.arange(PAIRS).reshape(len(KINDS), len(COLOURS))

    def add(text: str, classes: npt.NDArray[np.intp] | tuple[int, ...], columns: tuple[int, ...] = ()) -> None:
        texts.append(text)
        objects.append(np.isin(np.arange(PAIRS), classes))
        background.append(np.isin(np.arange(BACKGROUND_COLUMNS), columns))

    for row, kind in enumerate(KINDS):
        add(kind, grid[row])
    for column, colour in enumerate(COLOURS):
        add(f"{colour} object", grid[:, column])
    for column, name in enumerate(BACKGROUNDS[:-1]):
        add(name, (), (column,))
    add(BACKGROUNDS[-1], (), tuple(range(BACKGROUND_COLUMNS)))
    for phrase in CANONICAL:
        thing = phrase in ("object", "things")
        add(phrase, grid.ravel() if thing else (), () if thing else tuple(range(BACKGROUND_COLUMNS)))
    unclear = np.zeros((len(texts), BACKGROUND_COLUMNS), bool)
    tables = np.array(["table" in text.split() and text != "table top" for text in texts])
    unclear[tables, 2] = unclear[tables, 4] = True
    unclear[:, 4] |= np.array([text in ("floor", "wall") for text in texts])
    return PromptBank(tuple(texts), np.array(objects), np.array(background), unclear)


def with_synonyms(texts: tuple[str, ...], rng: np.random.Generator, rate: float = 0.15) -> list[str]:
    """The texts with some words replaced by a word of the same meaning."""
    return [" ".join(_swap(word, rng, rate) for word in text.split()) for text in texts]


def _swap(word: str, rng: np.random.Generator, rate: float) -> str:
    others = SYNONYMS.get(word, ())
    return str(rng.choice(others)) if others and rng.random() < rate else word


def vocabulary() -> tuple[str, ...]:
    """Every word the model knows, sorted; articles are known and mean nothing."""
    words = {word for text in prompt_bank().texts for word in text.split()}
    words |= {other for others in SYNONYMS.values() for other in others}
    return tuple(sorted(words | {"a", "an", "the"}))
