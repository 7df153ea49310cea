"""Sharp masks of what was found, by a model of the SAM family (arXiv 2304.02643) that is prompted with it.

Needs ``gem_ros[sam]`` (Hugging Face's transformers) and weights of one's own, as its ``save_pretrained`` writes them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError

from gem_ros.data import Grounding, Target
from gem_ros.errors import ModelError

Mask = npt.NDArray[np.bool_]


class Prompter:
    """A SAM from ``folder``, which holds config.json, model.safetensors and preprocessor_config.json.

    Nothing is fetched. Raises :class:`ModelError` where the folder has no such model.
    """

    def __init__(self, folder: str | Path, device: torch.device | str = "cpu") -> None:
        from transformers import SamModel, SamProcessor

        if not Path(folder).expanduser().is_dir():
            raise ModelError(f"sam: expected a folder with SAM weights as save_pretrained writes them, got {folder}")
        where = str(Path(folder).expanduser())
        try:
            self._processor: Any = SamProcessor.from_pretrained(where, local_files_only=True)
            model, loading = SamModel.from_pretrained(where, local_files_only=True, output_loading_info=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"sam {folder}: expected SAM weights as save_pretrained writes them, got: {reason}"
            ) from error
        if loading["missing_keys"]:  # transformers would draw them, and only warn
            raise ModelError(
                f"sam {folder}: expected the weights of a SAM, got none for {min(loading['missing_keys'])}"
            )
        self._model: Any = model.to(device).eval()

    @torch.inference_mode()
    def masks(
        self, rgb: npt.NDArray[np.uint8], pixels: npt.NDArray[np.float64], boxes: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """(n, H, W) of things in an image (H, W, 3), each with a pixel (n, 2) on it and a box (n, 4) around it.

        A box is (left, top, right, bottom) px. The image is encoded once, whatever n.
        """
        asked = {"input_points": [pixels[:, None].tolist()], "input_boxes": [boxes.tolist()]}
        given = self._processor(images=rgb, **asked, return_tensors="pt").to(self._model.device, torch.float32)
        answer = self._model(**given, multimask_output=False)
        sizes = given["original_sizes"].cpu(), given["reshaped_input_sizes"].cpu()
        (masks,) = self._processor.image_processor.post_process_masks(answer.pred_masks.cpu(), *sizes)
        return np.asarray(masks[:, 0].numpy(), np.bool_)  # (n, 1, H, W)

    def sharpen(self, grounding: Grounding, rgb: npt.NDArray[np.uint8]) -> Grounding:
        """``grounding`` of the image with these masks as regions; points in 3D stay what they were.

        A mask that leaves out the target's own pixel is of something else: that region stays, too.
        """
        found = [target for target in grounding.targets if target.region is not None and target.region.any()]
        if not found:
            return grounding
        pixels = np.array([target.pixel for target in found], np.float64)
        masks = self.masks(rgb, pixels, np.array([_box(target.region) for target in found], np.float64))
        sharp = {id(each): _with(each, mask) for each, mask in zip(found, masks, strict=True)}
        return dataclasses.replace(grounding, targets=tuple(sharp.get(id(each), each) for each in grounding.targets))


def _box(region: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) px of a region (H, W) that is not empty."""
    rows, columns = np.nonzero(region)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def _with(target: Target, mask: Mask) -> Target:
    assert target.pixel is not None
    height, width = mask.shape
    u, v = (min(max(round(at), 0), most - 1) for at, most in zip(target.pixel, (width, height), strict=True))
    return dataclasses.replace(target, region=mask) if mask[v, u] else target
