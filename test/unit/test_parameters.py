"""Parameters as ROS sees them: the config's, no more and no less, checked before they count."""

import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from rclpy.parameter import Parameter as RosParameter  # noqa: E402

from gem_ros.config import Config, parameters  # noqa: E402
from gem_ros.errors import ConfigError, GemError  # noqa: E402
from gem_ros.ros.parameters import changed, coerced, declare, to_ros, verdict  # noqa: E402


@pytest.fixture
def make_node():
    nodes = []
    context = rclpy.Context()
    rclpy.init(context=context, args=[])

    def make(**overrides):
        given = [RosParameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
        nodes.append(rclpy.create_node("test", context=context, parameter_overrides=given))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()


def test_every_parameter_is_declared_with_its_description_and_range(make_node):
    node = make_node()
    assert declare(node) == Config()
    for each in parameters():
        descriptor = node.describe_parameter(each.name)
        assert each.help in descriptor.description and descriptor.read_only is not each.dynamic
        value = node.get_parameter(each.name).value
        assert each.check(value) == each.default
    bounds = node.describe_parameter("presence_threshold").floating_point_range[0]
    assert (bounds.from_value, bounds.to_value) == (0.0, 1.0)
    assert node.describe_parameter("queries").type == RosParameter.Type.STRING_ARRAY.value


def test_what_is_set_counts_and_whole_numbers_pass_for_floats(make_node):
    config = declare(make_node(max_depth=5, gem__blocks=2, queries=["red mug:0.6"]))
    assert (config.max_depth, config.gem.blocks, config.queries) == (5.0, 2, ("red mug:0.6",))


def test_cameras_are_chosen_at_the_start_only(make_node):
    node = make_node(cameras=["front", "left"])
    assert declare(node).cameras == ("front", "left")
    assert node.get_parameter("cameras").value == ["front", "left"]
    assert not node.set_parameters([to_ros("cameras", ["rear"])])[0].successful


def test_the_cards_values_are_the_defaults_that_people_see(make_node, bundled):
    node = make_node(model="bundled")
    assert declare(node).gem.blocks == 2
    assert node.get_parameter("image_size").value == 96
    assert declare(make_node(model="bundled", image_size=64)).image_size == 64


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"max_depth": -1.0}, "max_depth"),
        ({"model": 3}, "model"),
        ({"queries": [True]}, "queries"),
        ({"queries": 5}, "queries: expected a list of strings, got 5"),
        ({"negatives": False}, "negatives: expected a list of strings, got False"),
        ({"method": "x" * 10_000}, "^method: .{,200}$"),
        ({"queries": ["door:3"]}, "threshold"),
        ({"negatives": ["x" * 1000]}, "negatives: expected at most 512 bytes"),
        ({"method": "magic"}, "method"),
        ({"cameras": ["front", "front"]}, "cameras"),
        ({"cameras": ["front/left"]}, "cameras"),
        ({"cameras": ["front left"]}, "cameras"),
        ({"cameras": ["2nd"]}, "cameras"),
    ],
)
def test_what_does_not_fit_is_one_line(make_node, overrides, named):
    with pytest.raises(GemError, match=named) as raised:
        declare(make_node(**overrides))
    assert "\n" not in str(raised.value)


def test_changes_are_checked_together_and_strangers_passed_over():
    changes = [to_ros("min_depth", 12.0), to_ros("max_depth", 20.0), RosParameter("use_sim_time", value=True)]
    assert changed(Config(), changes).max_depth == 20.0
    with pytest.raises(ConfigError, match="min_depth"):
        changed(Config(), changes[:1])
    result = verdict(Config(), changes[:1])
    assert not result.successful and "max_depth" in result.reason


def test_blank_texts_are_none_and_negatives_are_checked_like_queries():
    blank = changed(Config(), [to_ros("queries", [""]), to_ros("negatives", [" ", "wall"])])
    assert (blank.queries, blank.negatives) == ((), ("wall",))
    result = verdict(Config(), [to_ros("negatives", ["wall", "a\x07"])])
    assert not result.successful and "negatives: expected printable text" in result.reason


def test_what_people_type_is_taken_for_what_they_mean():
    typed = [RosParameter("max_depth", value=5), RosParameter("queries", RosParameter.Type.BOOL_ARRAY, [])]
    assert [(each.type_, each.value) for each in coerced(typed)] == [
        (RosParameter.Type.DOUBLE, 5.0),
        (RosParameter.Type.STRING_ARRAY, []),
    ]
