"""The real node, to which open_clip offers one more architecture: tiny-ViT-16, loaded in no time."""

import sys

import open_clip

from gem_ros.ros.main import main

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
NAME = "tiny-ViT-16"


def weights(path, **changes):
    """Write random weights of the architecture, with ``changes`` of its image tower."""
    import safetensors.torch

    clip = open_clip.CLIP(**TINY | {"vision_cfg": TINY["vision_cfg"] | changes})
    safetensors.torch.save_file(clip.state_dict(), path)


if __name__ == "__main__":
    open_clip.factory._MODEL_CONFIGS[NAME] = TINY
    sys.exit(main())
