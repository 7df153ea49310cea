"""Prompt templates: what is written around a thing's name before it is encoded."""

from __future__ import annotations

from pathlib import Path

from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

from gem_ros.errors import ConfigError

PLACE = "{}"
MAX_TEMPLATES, MAX_BYTES = 256, 65536
# Where a robot indoors sees things: on furniture, from afar, while it moves, in bad light.
ROBOT = (
    "a photo of a {}.",
    "a photo of a {} in a room.",
    "a photo of a {} on a table.",
    "a photo of a {} on a shelf.",
    "a photo of a {} on the floor.",
    "a photo of a {} against a wall.",
    "a photo of a small {} far away.",
    "a close-up photo of a {}.",
    "a blurry photo of a {}.",
    "a dark photo of a {}.",
)
TEMPLATES = {
    "gem": ("a photo of a {}.",),
    # the 80 prompts of OpenAI's CLIP for ImageNet
    "imagenet80": tuple(make(PLACE) for make in OPENAI_IMAGENET_TEMPLATES),
    "robot": ROBOT,
}


def read_templates(name: str) -> tuple[str, ...]:
    """The templates of a set in :data:`TEMPLATES`, or of a file: one a line, with {} where the thing's name goes.

    Blank lines and those that begin with # are skipped. Raises :class:`ConfigError`.
    """
    if name in TEMPLATES:
        return TEMPLATES[name]
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"templates: expected {', '.join(TEMPLATES)} or a text file, got {name!r} ({error.strerror})"
        ) from error
    except ValueError as error:  # no UTF-8, or no name for a file
        raise ConfigError(f"templates: expected a file of UTF-8 text, got {name!r} ({error})") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    found = tuple(_template(line, f"{name}:{number}") for number, line in lines if line and not line.startswith("#"))
    if not 1 <= len(found) <= MAX_TEMPLATES or len(data) > MAX_BYTES:
        got = f"more than {MAX_BYTES} bytes" if len(data) > MAX_BYTES else str(len(found))
        raise ConfigError(f"templates: expected 1 to {MAX_TEMPLATES} lines in {name}, got {got}")
    return found


def _template(line: str, where: str) -> str:
    if line.count(PLACE) != 1 or line.count("{") != 1 or line.count("}") != 1 or not line.isprintable():
        shown = line if len(line) <= 60 else f"{line[:60]}…"
        raise ConfigError(f"templates: expected printable text with {{}} once in {where}, got {shown!r}")
    return line
