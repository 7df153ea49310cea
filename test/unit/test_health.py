"""How a camera fares, counted with hand-made times, and what is said of it: levels, messages, and when it is over."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from gem_ros.config import Config, parameters, replace
from gem_ros.data import Grounding, Target
from gem_ros.ros.health import FORGOTTEN, LONGEST, REMEMBERED, REPEAT, WINDOW, Health, Rate
from gem_ros.ros.partners import Partners
from gem_ros.ros.verdict import ERROR, OK, STALE, STUCK, WARN, Around, Finding, judge, unconfigured, values
from gem_ros.ros.views import Answer, View

SIZE = (40, 60)
CONFIG = Config()
AROUND = Around(CONFIG, unheard={"image": "nobody publishes /image; start the camera, or remap image to its topic"})


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def room():
    clock, log = Clock(), []
    health = Health(log.append, clock, ros_clock=lambda: int(clock.now * 1e9))
    return SimpleNamespace(clock=clock, log=log, health=health)


def target(query="ball", reason="ok", index=0):
    return Target(query, index, reason != "absent", 0.7, 0.5, reason)


def see(room, *targets, problem="", lost=False, latency=0.05, depth=None, ahead=0.0, again=None):
    """An image comes, and its answer unless it is ``lost``; the view."""
    clock, health = room.clock, room.health
    arrival, stamp = clock.now, int((clock.now + ahead) * 1e9)
    if again is None:
        health.image(arrival)
    view = again or View(np.zeros((*SIZE, 3), np.uint8), stamp, "camera", arrival, inference=0.02)
    view.partners = Partners(depth=depth)
    began = clock.now
    clock.now += latency
    if problem:
        health.problem(problem, lost=lost)
    if not lost:
        maps = np.zeros((0, 1, 1), np.float32)
        grounding = Grounding((), targets or (target(),), SIZE, maps, lambda maps: maps)
        health.result(Answer(view, grounding, due=arrival, began=began, done=clock.now))
    return view


def run(room, seconds, rate=10.0, **seen):
    """Images at ``rate`` for ``seconds``."""
    for _ in range(round(seconds * rate)):
        start = room.clock.now
        see(room, **seen)
        room.clock.now = start + 1 / rate


def said(room, **around):
    """What is found now, and it is told."""
    made = Around(**{**vars(AROUND), **around})
    found = judge(room.health.report(made.listened and made.enabled), made)
    room.health.told()
    return found


def level(room, **around):
    return said(room, **around)[0].level


def with_limits(**limits):
    return replace(CONFIG, {f"diagnostics.{name}": value for name, value in limits.items()})


def test_a_camera_that_works_is_ok_with_its_numbers(room):
    run(room, 3.0, depth=np.full(SIZE, 1.5, np.float32))
    report = room.health.report()
    assert [each.message for each in judge(report, AROUND)] == ["running"]
    found = values(report, AROUND)
    assert float(found["image_rate_hz"]) == pytest.approx(10.0, abs=0.1)
    assert found["latency_p50_ms"] == found["latency_p95_ms"] == "50.0" and found["inference_p95_ms"] == "20.0"
    assert (found["depth_valid"], found["reason_ok"], found["query_0"]) == ("1.00", "30", "ball: ok 30")
    assert found["stamp_age_ms"] == "50.0" and found["pose"] == "not used"


def test_percentiles_are_nearest_ranks(room):
    for hundredth in range(20, 0, -1):  # 10 to 200 ms, the slowest first
        see(room, latency=hundredth / 100)
    found = values(room.health.report(), AROUND)
    assert (found["latency_p50_ms"], found["latency_p95_ms"]) == ("100.0", "190.0")


def test_before_anything_came_numbers_are_nan_and_a_new_node_is_given_time(room):
    found = values(room.health.report(), AROUND)
    assert math.isnan(float(found["latency_p95_ms"])) and math.isinf(float(found["image_age_s"]))
    room.clock.now += 1.9
    assert level(room) == OK


@pytest.mark.parametrize(
    ("before", "words"), [(0.0, "no image yet: nobody publishes /image"), (1.0, "no image for 2 s")]
)
def test_a_silent_camera_is_stale_and_well_with_the_next_image(room, before, words):
    run(room, before)
    room.clock.now += 2.1
    found = said(room)[0]
    assert found.level == STALE and words in found.message and "remap image" in found.message
    about, room.clock.now = found.about, room.clock.now + 3
    assert said(room)[0].about == about  # only the number has changed: no news
    see(room)
    assert level(room) == OK


def test_after_a_pause_of_the_node_silence_counts_anew(room):
    run(room, 1.0)
    room.clock.now += 300
    room.health.open()
    assert level(room) == OK and room.health.report().reasons["ok"] == 10


def test_a_problem_is_told_and_over_after_two_images_without_it(room):
    run(room, 1.0)
    see(room, problem="depth: expected 16UC1, got 8UC1")
    found = said(room)[0]
    assert found.level == WARN and found.message.startswith("depth: expected 16UC1, got 8UC1; ")
    see(room)
    assert level(room) == WARN
    see(room)
    assert level(room) == OK


def test_a_problem_that_cost_the_image_is_over_after_two_images_as_well(room):
    see(room, problem="image: unknown", lost=True)
    assert level(room) == WARN
    see(room)
    see(room)
    assert level(room) == OK


def test_a_problem_that_nobody_was_told_of_yet_is_not_forgotten(room):
    see(room, problem="depth: odd")
    run(room, 0.3)
    assert level(room) == WARN
    assert level(room) == OK


def test_a_problem_of_every_second_image_does_not_flap(room):
    for _ in range(10):
        see(room, problem="depth: odd")
        see(room)
        assert level(room) == WARN


def test_a_new_question_on_an_old_image_is_no_sign_that_images_are_well(room):
    view = see(room, problem="depth: odd")
    assert level(room) == WARN
    for _ in range(5):
        room.clock.now += 0.1
        see(room, again=view)
    assert level(room) == WARN


def test_where_nobody_listens_a_problem_is_over_after_a_while(room):
    room.health.problem("depth: odd")
    assert level(room) == WARN
    room.clock.now += FORGOTTEN + 0.1
    room.health.image(room.clock.now)
    assert level(room) == OK


def test_several_problems_are_all_told_the_one_of_now_first(room):
    see(room, problem="depth: odd")
    see(room, problem="pose: none")
    assert [each.about for each in said(room)] == ["pose: none", "depth: odd"]
    see(room, problem="depth: odd")
    assert [each.about for each in said(room)] == ["depth: odd", "pose: none"]


def test_images_that_fail_one_after_the_other_are_an_error_until_one_does_not(room):
    run(room, 1.0)
    levels = []
    for number in range(4):
        see(room, problem=f"ZeroDivisionError: odd, got {number}", lost=True)
        levels.append(level(room))
    assert levels == [WARN, WARN, ERROR, ERROR]
    found = said(room)
    assert len(found) == 1 and "the last 4 images failed: ZeroDivisionError: odd, got 3" in found[0].message
    see(room)
    assert level(room) == WARN
    see(room)
    assert level(room) == OK


def test_a_model_that_hangs_is_an_error_a_slow_one_is_not_nor_one_that_nobody_waits_for(room):
    run(room, 20.0, rate=0.25, latency=3.9)  # p95 3.9 s
    for _ in range(12):
        room.clock.now += 1
        room.health.image(room.clock.now)
    assert "no result" not in said(room)[0].message
    for _ in range(3):
        room.clock.now += 1
        room.health.image(room.clock.now)
    assert said(room)[0].level == ERROR and "the model hangs" in said(room)[0].message
    assert level(room, listened=False) != ERROR
    assert level(room) != ERROR  # waited for again, from now on


def test_the_first_result_may_take_as_long_as_it_was_said_to(room):
    for _ in range(int(STUCK)):
        room.health.image(room.clock.now)
        room.clock.now += 1
    assert level(room) == OK
    room.clock.now += 0.5
    room.health.image(room.clock.now)
    assert level(room) == ERROR
    assert level(room, config=Config(max_rate=0.1)) == OK


def test_a_slow_camera_is_told_within_a_second_and_well_again_soon(room):
    limits = with_limits(min_rate=20.0)
    run(room, 3.0, rate=30.0)
    assert level(room, config=limits) == OK
    run(room, 1.0, rate=5.0)
    found = said(room, config=limits)[0]
    assert found.level == WARN and "expected at least 20 Hz" in found.message and "min_rate" in found.message
    assert level(room) == OK  # by default no rate is expected
    run(room, 0.8, rate=30.0)
    assert level(room, config=limits) == OK


def test_a_long_way_from_image_to_result_is_told(room):
    run(room, 6.0, rate=0.5, latency=1.8)
    assert level(room) == OK  # too few to judge by
    run(room, 6.0, rate=0.5, latency=1.8)
    found = said(room)[0]
    assert found.level == WARN and "1.80 s (p95)" in found.message and "image_size" in found.message
    assert level(room, config=with_limits(max_latency=0.0)) == OK
    run(room, WINDOW + 1.0)
    assert level(room) == OK


def test_depth_that_is_mostly_invalid_is_told_from_the_second_image_to_the_next_good_one(room):
    blind, good = np.full(SIZE, np.nan, np.float32), np.full(SIZE, 1.0, np.float32)
    see(room, depth=good)
    see(room, depth=blind)
    assert level(room) == OK
    see(room, depth=blind)
    found = said(room)[0]
    assert found.level == WARN and "got 0.0%" in found.message and "min_depth_valid" in found.message
    see(room, depth=good)
    assert level(room) == OK


def test_stamps_ahead_of_the_clock_are_told_and_old_ones_are_not(room):
    see(room, ahead=60.0)
    found = said(room)[0]
    assert found.level == WARN and "use_sim_time" in found.message and "s after the node's clock" in found.message
    see(room, ahead=-1e6)
    assert level(room) == OK


@pytest.mark.parametrize("name", ["depth", "camera_info"])
def test_a_partner_that_is_published_but_not_heard_is_told(room, name):
    run(room, 1.0)
    why = {name: f"/camera publishes /{name} but nothing arrives; see that it runs"}
    assert level(room, unheard=why) == OK  # it may still come
    run(room, 1.5)
    found = said(room, unheard=why)[0]
    assert (found.level, found.about) == (WARN, f"no {name}") and "nothing arrives" in found.message
    assert level(room) == OK  # nobody publishes it: 2D is what is wanted
    room.health.heard(name)
    assert level(room, unheard=why) == OK


def test_what_others_cannot_hear_and_what_memory_cost_is_told(room):
    see(room)
    line = "/query: expected a publisher of compatible quality of service, got /robot (durability); change it there"
    found = said(room, mismatched=(line,), degraded="at most one image at 336 px")
    assert [each.level for each in found] == [WARN, WARN] and found[0].message == line and "336 px" in found[1].message
    assert values(room.health.report(), Around(CONFIG, mismatched=(line,)))["qos"] == "1 mismatched"


@pytest.mark.parametrize(
    ("around", "words"),
    [({"enabled": False}, "~/enable"), ({"listened": False}, "nobody subscribes"), ({"asked": False}, "query")],
)
def test_what_is_meant_to_be_quiet_is_ok_and_says_why(room, around, words):
    see(room)
    found = said(room, **around)[0]
    assert found.level == OK and words in found.message


def test_paused_even_a_silent_camera_is_ok(room):
    room.clock.now += 60
    assert level(room, enabled=False) == OK


def test_every_message_that_is_not_ok_ends_with_what_to_do(room):
    run(room, 3.0, rate=1.0, latency=1.5, ahead=9.0, depth=np.full(SIZE, np.nan, np.float32))
    run(room, 3.0, rate=1.0, latency=1.5, ahead=9.0, depth=np.full(SIZE, np.nan, np.float32), problem="odd")
    found = said(room, config=with_limits(min_rate=9.0), degraded="336 px", unheard={"depth": "nothing arrives; look"})
    assert len(found) >= 7
    assert all("; " in each.message and len(each.message) < 300 for each in found)


def test_a_model_that_cannot_be_loaded_is_an_error_with_the_way_on():
    found = unconfigured("model 'x': expected an architecture of open_clip", "/grounding")
    assert found.level == ERROR and found.message.startswith("not configured: model 'x'")
    assert "ros2 lifecycle set /grounding configure" in found.message


def test_reasons_are_those_of_each_query_as_asked_now_in_the_last_seconds(room):
    see(room, target("old"))
    see(room, target("ball"), target("door", "absent", 1))
    see(room, target("ball", "no_depth"), target("ball", "ok"), target("door", "absent", 1))
    found = values(room.health.report(), AROUND)
    assert (found["query_0"], found["query_1"]) == ("ball: ok 1, no_depth 1", "door: absent 2")
    assert found["reason_absent"] == "2" and "query_2" not in found
    room.clock.now += WINDOW + 1
    assert values(room.health.report(), AROUND)["query_0"] == "ball: no result lately"


def test_many_long_queries_are_told_within_bounds(room):
    see(room, *(target("q" * 500 + str(index), index=index) for index in range(255)))
    found = values(room.health.report(), AROUND)
    queries = [value for key, value in found.items() if key.startswith("query_")]
    assert len(queries) == 16 and max(map(len, queries)) < 100


@pytest.mark.parametrize(
    ("reason", "told"), [("no_transform", "missing in map"), ("ok", "ok"), ("absent", "nothing to place")]
)
def test_whether_points_could_be_placed_is_said_where_a_frame_is_wanted(room, reason, told):
    see(room, target("ball", reason))
    assert values(room.health.report(), Around(Config(target_frame="map")))["pose"] == told


def test_the_same_complaint_is_logged_once_in_a_while(room):
    for number in range(20):
        room.health.problem(f"image: expected a known encoding, got {number}\nTraceback")
        room.clock.now += 0.1
    assert room.log == ["image: expected a known encoding, got 0\nTraceback"]
    room.clock.now += REPEAT
    room.health.problem("image: expected a known encoding, got x")
    assert len(room.log) == 2 and room.health.report().problem_count == 21


def test_hostile_problems_stay_within_bounds(room):
    for number in range(3 * REMEMBERED):
        room.health.problem(f"{number}{'x' * 100_000}")
    room.health.problem("")
    report = room.health.report()
    assert len(report.problems) == REMEMBERED and max(map(len, room.log)) <= LONGEST + 1
    assert max(len(each.line) for each in report.problems.values()) <= LONGEST + 1


def test_a_rate_falls_while_the_next_event_is_overdue():
    rate = Rate()
    assert (rate.per_second(0.0), rate.age(0.0)) == (0.0, math.inf)
    for tick in range(40):
        rate.add(tick / 10)
    assert rate.per_second(4.0) == pytest.approx(10.0)
    assert rate.per_second(4.9) == pytest.approx(1.0)
    assert rate.per_second(3.9 + WINDOW) == 0.0
    rate.add(3.9)
    assert Rate().per_second(1.0) == 0.0


def test_the_page_has_every_value_and_every_message(room):
    page = (Path(__file__).parents[2] / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    run(room, 3.0, rate=1.0, latency=1.5, ahead=9.0, depth=np.full(SIZE, np.nan, np.float32))
    limits = with_limits(min_rate=9.0)
    around = {"config": limits, "degraded": "336 px", "unheard": {"depth": "nothing arrives"}}
    found = [*said(room, **around), *said(room, enabled=False), unconfigured("no model", "/grounding")]
    for _ in range(3):
        see(room, problem="image: odd", lost=True)
    found += said(room, **around)
    room.clock.now += 60
    found += [*said(room, **around), Finding(ERROR, "no result for 12 s although images come", "stuck")]
    words = {each.message.partition(":")[0].partition(";")[0] for each in found}
    words = {word.replace("60 s", "3 s").replace("last 3", "last N") for word in words}
    assert len(words) >= 9 and all(word in page for word in words), words
    keys = [key for key in values(room.health.report(), AROUND) if not key.startswith(("query_", "reason_"))]
    assert all(f"`{key}`" in page for key in keys)
    assert all(f"`{each.name}`" in page for each in parameters() if each.name.startswith("diagnostics."))
