"""The real node with the bundled model, whose forwards do what the file named by GEM_ROS_FAULT says.

``sleep S``: take S s longer; ``raise``: a ValueError; ``memory N``: none left for images whose longer side is above
N px; ``text``: a ValueError where queries are compared; an empty file: nothing.
"""

import os
import sys
import time
from pathlib import Path

import torch

from gem_ros.ros.main import main
from gem_ros.ros.node import load_grounder

FAULT = Path(os.environ["GEM_ROS_FAULT"])


def load(config):
    grounder = load_grounder(config)
    encode, embed = grounder._encode, grounder.text.embed

    def forward(pixels):
        kind, _, number = FAULT.read_text().partition(" ")
        if kind == "sleep":
            FAULT.with_suffix(".asleep").touch()
            time.sleep(float(number))
        if kind == "raise":
            raise ValueError("the model was told to fail")
        if kind == "memory" and max(pixels.shape[-2:]) > int(number):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return encode(pixels)

    def texts(*asked):
        if FAULT.read_text() == "text":
            raise ValueError("the texts were told to fail")
        return embed(*asked)

    grounder._encode, grounder.text.embed = forward, texts
    return grounder


if __name__ == "__main__":
    sys.exit(main(load=load))
