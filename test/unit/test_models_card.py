"""The card that gem-ros calibrate writes: what is taken from it, and what is refused in one line."""

import dataclasses
import json

import pytest

from gem_ros.config import METHODS, Config, replace
from gem_ros.errors import ModelError
from gem_ros.models import DEFAULT_CARD, Presence, Relevancy, calibrated, feature_settings

MODEL, SHA = "ViT-B-16-quickgelu", "ab" * 32
GOOD = {
    "model": MODEL,
    "pretrained": "openai",
    "sha256": None,
    "method": "gem",
    "image_size": 448,
    "presence": {"evidence": "contrast", "a": 80.5, "b": -12},
    "relevancy": {"kind": "lerf", "scale": 10.0, "bias": 0.0},
    "images": 40,
    "numbers": {},
}


@pytest.fixture
def write(tmp_path):
    def write(values):
        path = tmp_path / "card.json"
        path.write_text(values if isinstance(values, str) else json.dumps(values))
        return path

    return write


def test_presence_and_relevancy_come_from_the_file_and_nothing_else(write):
    own = dataclasses.replace(DEFAULT_CARD, name="mine", vocabulary=("red",), defaults={"image_size": 96})
    found = calibrated(own, str(write(GOOD)), MODEL)
    assert found == dataclasses.replace(
        own, presence=Presence("contrast", 80.5, -12.0), relevancy=Relevancy("lerf", 10.0, 0.0)
    )


@pytest.mark.parametrize(
    ("model", "known"),
    [
        (MODEL, {}),
        (MODEL, {"pretrained": "openai", "settings": {"method": "gem", "feature_surgery": False}}),
        ("ViT-B-16", {"pretrained": "openai"}),  # the loader corrects the activation: the same weights
        (MODEL, {"pretrained": None}),
    ],
)
def test_a_card_fits_the_model_it_was_made_with(write, model, known):
    assert calibrated(DEFAULT_CARD, write(GOOD), model, **known).presence.a == 80.5


def test_weights_files_are_known_by_name_and_bundled_weights_by_their_sum(write):
    path = write({**GOOD, "pretrained": "on/my/desk/weights.pt"})
    assert calibrated(DEFAULT_CARD, path, MODEL, pretrained="/on/the/robot/weights.pt").presence.a == 80.5
    bundled, path = dataclasses.replace(DEFAULT_CARD, sha256=SHA), write({**GOOD, "model": "bundled", "sha256": SHA})
    assert calibrated(bundled, path, "bundled", pretrained="unused").presence.a == 80.5
    with pytest.raises(ModelError, match="sha256"):
        calibrated(dataclasses.replace(bundled, sha256="cd" * 32), path, "bundled")


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"model": "ViT-L-14"}, "model: expected 'ViT-L-14'"),
        ({"model": "bundled"}, "model: expected 'bundled'"),
        ({"pretrained": "laion2b"}, "pretrained: expected 'laion2b', which is in use, got 'openai'"),
        ({"settings": {"method": "clip"}}, "method: expected 'clip'"),
    ],
)
def test_a_card_of_another_model_is_refused(write, known, said):
    with pytest.raises(ModelError, match=said):
        calibrated(DEFAULT_CARD, write(GOOD), **{"model": MODEL, **known})


CHANGED = {
    "feature_surgery": True,
    "gem.blocks": 3,
    "gem.iterations": 2,
    "gem.temperature": 0.5,
    "gem.projections": "qk",
    "gem.normalise": False,
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_card_made_with_another_setting_is_refused(write, name):
    """JSON is what is read back, so that 0.0 is 0 there."""
    used = feature_settings(Config())
    path = write({**GOOD, **json.loads(json.dumps(used)), "gem.temperature": 0})
    assert calibrated(DEFAULT_CARD, path, MODEL, settings=used).presence.a == 80.5
    other = feature_settings(replace(Config(), {name: CHANGED[name]}))
    with pytest.raises(ModelError, match=rf"{name}: expected {CHANGED[name]!r}, which is in use, got ") as refused:
        calibrated(DEFAULT_CARD, path, MODEL, settings=other)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("value", [[1], {"a": 1}, "\0", float("nan")])
def test_a_setting_of_another_kind_is_refused_in_one_line(write, name, value):
    path = write({**GOOD, name: value})
    with pytest.raises(ModelError, match=name) as refused:
        calibrated(DEFAULT_CARD, path, MODEL, settings=feature_settings(Config()))
    assert "\n" not in str(refused.value)


def test_only_what_a_method_reads_is_compared(write):
    """A card made before these settings were written down has none of them."""
    assert calibrated(DEFAULT_CARD, write(GOOD), MODEL, settings=feature_settings(Config())).presence.a == 80.5
    read = {method: feature_settings(replace(Config(), {"method": method})) for method in METHODS}
    assert set(read["gem"]) == {"method", *CHANGED}
    assert set(read["clip_surgery"]) == {"method", "feature_surgery", "gem.blocks"}
    assert all(
        set(read[each]) == {"method", "feature_surgery"} for each in METHODS if each not in {"gem", "clip_surgery"}
    )


def without(key):
    return {name: value for name, value in GOOD.items() if name != key}


def presence(**changes):
    return {**GOOD, "presence": {**GOOD["presence"], **changes}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("\0", "expected JSON"),
        ([], "expected an object, got"),
        (7, "expected an object, got"),
        (without("model"), "model: expected in the file"),
        ({**GOOD, "model": 7}, "model: expected"),
        ({**GOOD, "model": ["x" * 1000]}, "model: expected"),
        (without("presence"), "presence: expected an object of evidence, a, b; got None"),
        (without("relevancy"), "relevancy: expected an object of kind, scale, bias; got None"),
        ({**GOOD, "presence": {"evidence": "cosine", "a": 1}}, "got the keys evidence, a"),
        (presence(c=1), "got the keys evidence, a, b, c"),
        (presence(evidence="softmax"), "presence.evidence: expected one of cosine, cosine_mean, contrast, relevancy"),
        (presence(evidence=["cosine"]), "presence.evidence: expected one of"),
        (presence(a=float("nan")), "presence.a: expected a finite number above 0, got nan"),
        (presence(b=float("-inf")), "presence.b: expected a finite number, got -inf"),
        (presence(a=10**400), "presence.a: expected a finite number"),
        (presence(a="20"), "presence.a: expected a finite number"),
        (presence(a=True), "presence.a: expected a finite number"),
        (presence(a=0), "presence.a: expected a finite number above 0, got 0"),
        (presence(a=-3), "presence.a: expected a finite number above 0, got -3"),
        ({**GOOD, "relevancy": {"kind": "softmax", "scale": 1, "bias": 0}}, "relevancy.kind: expected one of"),
        ({**GOOD, "relevancy": {"kind": "lerf", "scale": 0, "bias": 0}}, "relevancy.scale: expected"),
        ({**GOOD, "relevancy": {"kind": "lerf", "scale": 1, "bias": None}}, "relevancy.bias: expected"),
    ],
)
def test_a_bad_card_is_refused_in_one_line(write, values, said):
    path = write(values)
    with pytest.raises(ModelError) as refused:
        calibrated(DEFAULT_CARD, path, MODEL)
    line = str(refused.value)
    assert said in line and str(path) in line and "\n" not in line and len(line) < 300 + len(str(path))


def test_a_missing_card_is_refused(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ModelError, match="expected a file of gem-ros calibrate"):
            calibrated(DEFAULT_CARD, path, MODEL)
