"""Each text is encoded once, and comes back as a unit vector."""

import threading

import open_clip
import pytest
import torch
import torch.nn.functional as F

from gem_ros.core.text import IMAGENET80, STACKED, TextEncoder
from gem_ros.errors import ModelError


@pytest.fixture
def make(random_clip):
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    return lambda *given, **options: TextEncoder(random_clip, tokenizer, *given, **options)


def direct(clip, prompts):
    with torch.no_grad():
        return F.normalize(clip.encode_text(open_clip.SimpleTokenizer(context_length=16)(prompts)), dim=-1)


def test_the_gem_template(make, random_clip):
    expected = direct(random_clip, ["a photo of a red ball.", "a photo of a door."])
    torch.testing.assert_close(make("gem").embed(["red ball", "door"]), expected)


def test_eighty_templates_are_averaged_as_unit_vectors(make, random_clip):
    assert len(set(IMAGENET80)) == 80
    each = direct(random_clip, [template.format("red ball") for template in IMAGENET80])
    torch.testing.assert_close(make("imagenet80").embed(["red ball"]), F.normalize(each.mean(0, keepdim=True), dim=-1))
    both = make("imagenet80").embed(["door", "red ball"])
    torch.testing.assert_close(both[1:], make("imagenet80").embed(["red ball"]), atol=1e-5, rtol=0)


def test_each_new_text_is_encoded_once(make):
    encoder = make()
    encoder.embed(["a", "b", "a"])
    encoder.embed(["b", "c"])
    assert encoder.encodings == 3


def test_the_cache_is_bounded_and_forgets_the_oldest_use(make):
    encoder = make(capacity=2)
    encoder.embed(["a", "b"])
    encoder.embed(["a"])
    encoder.embed(["c"])  # b was used longest ago
    encoder.embed(["a", "c"])
    assert encoder.encodings == 3
    encoder.embed(["b"])
    assert encoder.encodings == 4
    assert encoder.embed(["a", "b", "c", "d"]).shape == (4, 32)  # more at once than are kept


def test_the_same_texts_come_as_the_same_tensor(make):
    """For each image the same is asked: nothing is put together again."""
    encoder = make()
    texts = ["a", "b"]
    assert encoder.embed(texts) is encoder.embed(tuple(texts))
    assert encoder.embed(texts[::-1]) is not encoder.embed(texts)
    torch.testing.assert_close(encoder.embed(texts[::-1]), encoder.embed(texts).flip(0))
    for index in range(20):
        encoder.embed([str(index), "a"])
    assert len(encoder._stacked) <= STACKED
    assert encoder.encodings == 22


def test_two_threads_asking_for_the_same_text_encode_it_once(make):
    encoder = make()
    threads = [threading.Thread(target=lambda: [encoder.embed([str(i)]) for i in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert encoder.encodings == 20


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("red ball", ()),
        ("Red-Ball!", ()),
        ("red zebra, Zebra", ("zebra",)),
        ("blue ball", ("blue",)),
        ("🚪", ("🚪",)),
        ("...", ("...",)),
    ],
)
def test_unknown_words(make, text, unknown):
    assert make(vocabulary=("red", "ball")).unknown_words(text) == unknown
    assert make().unknown_words(text) == ()


def test_unknown_templates_are_refused(make):
    with pytest.raises(ModelError, match="expected one of gem, imagenet80; got 'best'"):
        make("best")
