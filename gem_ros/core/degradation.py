"""What to give up when memory runs out, and when to try again: pure bookkeeping, it holds no tensor."""

from __future__ import annotations

SMALLEST = 224  # px, what CLIP was trained with: below it nothing is found
UNLIMITED = 1 << 30  # images


class Degradation:
    """One step down for each time that memory ran out, one up again after ``patience`` good images.

    First fewer images go into a forward, half as many each time; then the image gets smaller, by a quarter of
    the size that failed. A step up that fails doubles the patience, so that a machine that is too small does
    not skip an image every few seconds. Not thread-safe.
    """

    def __init__(self, patience: int = 300) -> None:
        self.batch = UNLIMITED  # most images in one forward
        self._steps: list[tuple[int, float]] = []  # (batch, scale) before each step
        self._scale = 1.0
        self._patience = self._first_patience = patience
        self._good, self._probing = 0, False  # since the last step; whether that was up and is not proven yet

    @property
    def degraded(self) -> bool:
        """Whether anything is given up at present."""
        return bool(self._steps)

    def described(self, wanted: int) -> str:
        """What is done instead of ``wanted`` px for as many images as wait; empty where nothing is given up."""
        return self._now(wanted) if self.degraded else ""

    def image_size(self, wanted: int) -> int:
        """Longer side in px to use where ``wanted`` is asked for; never below :data:`SMALLEST` if it was not."""
        return max(round(wanted * self._scale), min(wanted, SMALLEST))

    def step_down(self, images: int, wanted: int) -> str:
        """Memory ran out for ``images`` in one forward, ``wanted`` px asked for: a line that says how it goes on."""
        used = self.image_size(wanted)
        if self._probing:
            self._patience *= 2
        self._good, self._probing = 0, False
        before = (self.batch, self._scale)
        if images > 1:
            self.batch = images // 2
        elif used > SMALLEST:
            self._scale = max(0.75 * used, SMALLEST) / wanted
        else:
            return f"out of memory with one image at {used} px, the smallest: image skipped; use a smaller model"
        self._steps.append(before)
        what = f"{images} images" if images > 1 else "one image"
        return f"out of memory with {what} at {used} px: skipped; going on with {self._now(wanted)}"

    def good(self, wanted: int, images: int = 1) -> str | None:
        """``images`` more went well: the line to say when a step up is tried, else None."""
        self._good += images
        if self._good < self._patience:
            return None
        waited = self._patience
        if self._probing:
            self._patience = self._first_patience
        self._good, self._probing = 0, bool(self._steps)
        if not self._steps:
            return None
        self.batch, self._scale = self._steps.pop()
        return f"memory sufficed for {waited} images: trying {self._now(wanted)} again"

    def _now(self, wanted: int) -> str:
        most = "as many images as wait" if self.batch == UNLIMITED else f"at most {self.batch} images in one forward"
        return f"{most} at {self.image_size(wanted)} px"
