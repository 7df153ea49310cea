"""Each text is encoded once, and comes back as a unit vector."""

import threading

import open_clip
import pytest
import torch
import torch.nn.functional as F

from gem_ros.core.templates import MAX_BYTES, MAX_TEMPLATES, TEMPLATES, read_templates
from gem_ros.core.text import STACKED, TextEncoder
from gem_ros.errors import ConfigError

IMAGENET80 = TEMPLATES["imagenet80"]


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


def test_of_the_tensors_kept_the_one_that_was_used_longest_ago_goes_first(make):
    encoder = make()
    known = encoder.embed(["a"])
    for index in range(3 * STACKED):
        encoder.embed([str(index)])
        assert encoder.embed(["a"]) is known


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


@pytest.mark.parametrize(
    ("text", "unknown", "knows"),
    [
        ("ball|red ball", (), True),
        ("ball|zebra", ("zebra",), True),
        ("blue ball|zebra", ("blue", "zebra"), False),
        ("zebra|zebra ball", ("zebra",), False),
        ("|", ("|",), False),
    ],
)
def test_one_synonym_that_is_known_suffices(make, text, unknown, knows):
    encoder = make(vocabulary=("red", "ball", "photo", "a", "of"))
    assert encoder.unknown_words(text) == unknown
    assert encoder.knows(text) is knows
    assert make().knows(text)


def test_synonyms_are_the_mean_of_unit_vectors_of_unit_length(make):
    encoder = make("robot")
    each = encoder.embed(["mug", "cup", "glass"])
    mean = F.normalize(each.mean(0, keepdim=True), dim=-1)
    torch.testing.assert_close(encoder.embed(["mug|cup|glass"]), mean)
    torch.testing.assert_close(encoder.embed(["glass|mug|cup"]), mean)
    assert encoder.encodings == 3  # each once, whatever it is asked with
    both = encoder.embed(["door", "mug|cup"])
    torch.testing.assert_close(both[1], F.normalize(each[:2].mean(0), dim=-1), atol=1e-5, rtol=0)


def test_a_synonym_that_is_not_known_is_left_out(make):
    encoder = make(vocabulary=("red", "ball"))
    torch.testing.assert_close(encoder.embed(["ball|zebra"]), encoder.embed(["ball"]), rtol=0, atol=0)


def test_synonyms_are_kept_on_the_disk_one_by_one(make, tmp_path):
    first = make(folder=tmp_path).embed(["mug|cup"])
    again, robot = make(folder=tmp_path), make("robot", folder=tmp_path)
    torch.testing.assert_close(again.embed(["cup|mug"]), first)
    assert again.encodings == 0
    assert not torch.allclose(robot.embed(["mug|cup"]), first)  # other templates, another embedding
    assert robot.encodings == 2


def test_the_robots_templates_are_a_small_set_of_their_own():
    assert len(TEMPLATES["robot"]) == len(set(TEMPLATES["robot"])) <= 16
    assert all(template.count("{}") == 1 for templates in TEMPLATES.values() for template in templates)


def test_templates_of_a_file(make, random_clip, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("\ufeff# mine\n\n  a red {} there.\r\n{}\n", encoding="utf-8")
    assert read_templates(str(path)) == ("a red {} there.", "{}")
    each = direct(random_clip, ["a red {odd} there.", "{odd}"])
    expected = F.normalize(each.mean(0, keepdim=True), dim=-1)
    torch.testing.assert_close(make(str(path)).embed(["{odd}"]), expected)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"expected gem, imagenet80, robot or a text file, got '.*' \(No such file or directory\)"),
        (b"", "expected 1 to 256 lines in .*, got 0"),
        (b"# only this\n", "expected 1 to 256 lines in .*, got 0"),
        (b"a photo\n", "with {} once in .*:1, got 'a photo'"),
        (b"ok {}\n{} and {}\n", "with {} once in .*:2, got '{} and {}'"),
        (b"a {0.__class__}\n", "with {} once"),
        (b"a {x} {}\n", "with {} once"),
        (b"a {}\x1b[31m\n", "with {} once"),
        (b"x" * 10000, "got 'x{60}…'"),
        (b"a {}\n" * (MAX_TEMPLATES + 1), "expected 1 to 256 lines in .*, got 257"),
        (b"# " + b"x" * MAX_BYTES + b"\na {}", "got more than 65536 bytes"),
        (b"\xff\xfe {}", "expected a file of UTF-8 text"),
    ],
)
def test_templates_that_are_none_are_refused_in_one_line(tmp_path, content, says):
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as refused:
        read_templates(str(path))
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


@pytest.mark.parametrize("name", ["best", "", ".", "a\0b", "x" * 5000])
def test_names_that_are_no_templates_are_refused_in_one_line(name):
    with pytest.raises(ConfigError, match=r"^templates: expected") as refused:
        read_templates(name)
    assert "\n" not in str(refused.value)


def test_a_model_of_few_words_refuses_templates_of_others(loaded, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("a photo of a red {}.\n")
    assert TextEncoder(loaded.clip, loaded.tokenizer, str(path), loaded.card.vocabulary).embed(["ball"]).shape == (
        1,
        32,
    )
    with pytest.raises(
        ConfigError, match=r"words that this model knows, got 'a photo of a \{\} in a room.'; set it to gem"
    ):
        TextEncoder(loaded.clip, loaded.tokenizer, "robot", loaded.card.vocabulary)
