"""Prompting a SAM with what was found; its weights are random and its size is tiny."""

import dataclasses
import sys

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gem_ros import cli
from gem_ros.data import Grounding, Query, Target
from gem_ros.errors import ModelError

transformers = pytest.importorskip("transformers", reason="needs pip install 'gem_ros[sam]'")

from gem_ros.core.sam import Prompter  # noqa: E402

SIDE, SIZE = 64, (48, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    vision = {"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": SIDE, "patch_size": 16, "mlp_dim": 16, "global_attn_indexes": [0], "num_pos_feats": 8}
    prompt = {"hidden_size": 16, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4}
    decoder = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 16}
    decoder |= {"iou_head_hidden_dim": 16}
    config = transformers.SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    processor = transformers.SamImageProcessor(
        size={"longest_edge": SIDE},
        pad_size={"height": SIDE, "width": SIDE},
        mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    )
    path = tmp_path_factory.mktemp("sam")
    transformers.SamModel(config).save_pretrained(path)
    transformers.SamProcessor(processor).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def prompter(folder):
    return Prompter(folder)


def picture():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def grounding(*regions):
    targets = [Target("ball", 0, True, 0.9, 0.5, "ok", (10.0, 12.0), region) for region in regions]
    targets.append(Target("door", 1, False, 0.1, 0.5, "absent"))
    asked = (Query("ball"), Query("door"))
    return Grounding(asked, tuple(targets), SIZE, np.zeros((2, 3, 4), np.float32), lambda maps: maps)


def region():
    mask = np.zeros(SIZE, bool)
    mask[8:20, 4:30] = True
    return mask


def test_masks_have_the_images_size_and_each_prompt_its_own(prompter):
    pixels = np.array([[10.0, 12.0], [50.0, 40.0]])
    boxes = np.array([[4.0, 8.0, 29.0, 19.0], [40.0, 30.0, 60.0, 46.0]])
    masks = prompter.masks(picture(), pixels, boxes)
    assert masks.shape == (2, *SIZE) and masks.dtype == bool
    for index in (0, 1):
        alone = prompter.masks(picture(), pixels[index : index + 1], boxes[index : index + 1])[0]
        assert (alone == masks[index]).mean() > 0.999


def test_regions_become_the_masks_where_these_hold_the_pixel(prompter, monkeypatch):
    asked = []
    holds, misses = np.ones((1, *SIZE), bool), np.zeros((1, *SIZE), bool)
    monkeypatch.setattr(prompter, "masks", lambda *given: asked.append(given) or holds)
    before = grounding(region())
    after = prompter.sharpen(before, picture())
    assert after.targets[0].region.all() and after.targets[1] is before.targets[1]
    assert asked[0][1].tolist() == [[10.0, 12.0]] and asked[0][2].tolist() == [[4.0, 8.0, 29.0, 19.0]]
    monkeypatch.setattr(prompter, "masks", lambda *given: misses)
    assert prompter.sharpen(before, picture()).targets[0] is before.targets[0]


def test_a_pixel_at_the_images_end_is_in_it(prompter, monkeypatch):
    height, width = SIZE
    before = grounding(region())
    last = dataclasses.replace(before.targets[0], pixel=(width - 0.4, height - 0.4))
    monkeypatch.setattr(prompter, "masks", lambda *given: np.ones((1, *SIZE), bool))
    after = prompter.sharpen(dataclasses.replace(before, targets=(last, *before.targets[1:])), picture())
    assert after.targets[0].region.all()


def test_nothing_found_is_not_asked_for(prompter, monkeypatch):
    monkeypatch.setattr(prompter, "masks", lambda *given: pytest.fail("asked"))
    for none in (grounding(), grounding(np.zeros(SIZE, bool))):
        assert prompter.sharpen(none, picture()) is none


@pytest.mark.parametrize("broken", ["nowhere", "empty", "damaged", "of another"])
def test_a_folder_without_a_model_is_told_in_one_line(folder, tmp_path, broken):
    path = tmp_path / broken
    if broken != "nowhere":
        path.mkdir()
    if broken in ("damaged", "of another"):
        for name in ("config.json", "preprocessor_config.json", "processor_config.json"):
            if (folder / name).is_file():
                (path / name).write_bytes((folder / name).read_bytes())
        (path / "model.safetensors").write_bytes(b"no weights")
    if broken == "of another":
        save_file({"some.weight": torch.zeros(2)}, path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"^sam.*expected .*(SAM weights|weights of a SAM).*, got") as told:
        Prompter(path)
    assert "\n" not in str(told.value)
    assert ("expected a folder" in str(told.value)) == (broken == "nowhere")


@pytest.mark.parametrize("there", [True, False])
def test_ground_draws_with_it_or_says_how_to_get_it(bundled, folder, tmp_path, monkeypatch, capsys, there):  # noqa: PLR0917
    cv2.imwrite(str(tmp_path / "picture.png"), picture())
    sharpened = []
    monkeypatch.setattr(Prompter, "sharpen", lambda self, grounding, rgb: sharpened.append(rgb.shape) or grounding)
    if not there:
        monkeypatch.setitem(sys.modules, "transformers", None)
    status = cli.main(["ground", str(tmp_path / "picture.png"), "red ball:0", "--sam", str(folder)])
    assert (status, sharpened) == ((0, [(*SIZE, 3)]) if there else (2, []))
    if not there:
        assert capsys.readouterr().err == (
            "gem-ros ground: expected transformers, which is not installed here; pip install 'gem_ros[sam]'\n"
        )
