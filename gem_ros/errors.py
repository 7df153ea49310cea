"""What gem_ros raises. Every message says what was expected, what came, and what to do."""


class GemError(Exception):
    """Base of every error that gem_ros raises on purpose: one line, fit to show to a user."""


class ConfigError(GemError):
    """A parameter or argument is unknown, of the wrong type or out of range."""


class ModelError(GemError):
    """An architecture or its weights cannot be used."""


class OutOfMemoryError(GemError):
    """The device's memory does not suffice for these images; smaller or fewer may fit."""


class QueryError(GemError):
    """A text query cannot be used."""


class DecodeError(GemError):
    """A picture or a message does not hold what it declares."""


class GeometryError(GemError):
    """Camera, depth and image do not fit each other."""


class BagError(GemError):
    """A recording cannot be read or written."""


class SimulationError(GemError):
    """A scene cannot be simulated or rendered here."""


def short(value: object) -> str:
    """What came, for the line of an error: on one line, and no longer than a line may be."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
