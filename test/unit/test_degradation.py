"""What is given up when memory runs out, and when it is tried again."""

from gem_ros.core.degradation import UNLIMITED, Degradation


def test_nothing_is_given_up_at_first():
    policy = Degradation()
    assert (policy.degraded, policy.batch, policy.image_size(448)) == (False, UNLIMITED, 448)
    assert policy.good(448, 10_000) is None


def test_the_batch_goes_first_then_a_quarter_of_the_size_down_to_the_smallest():
    policy = Degradation()
    assert policy.step_down(5, 448) == (
        "out of memory with 5 images at 448 px: skipped; going on with at most 2 images in one forward at 448 px"
    )
    assert (policy.batch, policy.image_size(448), policy.degraded) == (2, 448, True)
    policy.step_down(2, 448)
    assert policy.batch == 1
    sizes = []
    for _ in range(4):
        line = policy.step_down(1, 448)
        sizes.append(policy.image_size(448))
    assert sizes == [336, 252, 224, 224]
    assert line == "out of memory with one image at 224 px, the smallest: image skipped; use a smaller model"


def test_a_size_that_was_small_from_the_start_stays():
    policy = Degradation()
    policy.step_down(1, 160)
    assert (policy.image_size(160), policy.degraded) == (160, False)
    policy.step_down(1, 448)
    assert policy.image_size(160) == 160


def test_steps_are_taken_back_one_by_one_after_good_images():
    policy = Degradation(patience=3)
    policy.step_down(4, 448)
    policy.step_down(2, 448)
    policy.step_down(1, 448)
    assert policy.good(448, 2) is None
    assert policy.good(448).startswith("memory sufficed for 3 images: trying at most 1 images")
    assert (policy.batch, policy.image_size(448)) == (1, 448)
    policy.good(448, 3)
    assert (policy.batch, policy.degraded) == (2, True)
    assert policy.good(448, 3) == "memory sufficed for 3 images: trying as many images as wait at 448 px again"
    assert (policy.batch, policy.degraded) == (UNLIMITED, False)


def test_a_failed_image_starts_the_count_anew():
    policy = Degradation(patience=3)
    policy.step_down(1, 448)
    policy.good(448, 2)
    policy.step_down(1, 448)
    assert policy.good(448, 2) is None
    assert policy.good(448)


def test_a_step_up_that_fails_is_tried_half_as_often_until_one_holds():
    policy = Degradation(patience=2)
    policy.step_down(1, 448)
    for waited in (2, 4, 8):
        assert policy.good(448, waited - 1) is None
        assert policy.good(448)
        policy.step_down(1, 448)
        assert policy.image_size(448) == 336
    assert policy.good(448, 16)
    policy.good(448, 16)  # it holds
    policy.step_down(1, 448)
    assert policy.good(448, 2)
