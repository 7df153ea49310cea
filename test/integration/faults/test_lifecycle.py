"""Every order of lifecycle transitions, in this process and without a model: held against the standard's table.

https://design.ros2.org/articles/node_lifecycle.html; ``shutdown`` is possible from each of the three other states.
"""

import threading
from itertools import product
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

import rclpy
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lifecycle_msgs.msg import Transition
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from stub_grounding_node import StubGrounder

from gem_ros.errors import ModelError
from gem_ros.ros.node import GroundingNode

TABLE = {
    ("unconfigured", "configure"): "inactive",
    ("unconfigured", "shutdown"): "finalized",
    ("inactive", "activate"): "active",
    ("inactive", "cleanup"): "unconfigured",
    ("inactive", "shutdown"): "finalized",
    ("active", "deactivate"): "inactive",
    ("active", "shutdown"): "finalized",
}
BACK = {"inactive": ("cleanup",), "active": ("deactivate", "cleanup"), "unconfigured": ()}
NUMBERS = {
    "configure": (Transition.TRANSITION_CONFIGURE,) * 3,
    "activate": (Transition.TRANSITION_ACTIVATE,) * 3,
    "deactivate": (Transition.TRANSITION_DEACTIVATE,) * 3,
    "cleanup": (Transition.TRANSITION_CLEANUP,) * 3,
    "shutdown": (
        Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
        Transition.TRANSITION_INACTIVE_SHUTDOWN,
        Transition.TRANSITION_ACTIVE_SHUTDOWN,
    ),
}
STATES = ("unconfigured", "inactive", "active")
EXPECTED = {ModelError: "expected a model", OSError: "OSError", ValueError: "ValueError", KeyError: "KeyError"}


class Life:
    """A node in this process with a stub for the model, and what the table says of it."""

    def __init__(self, context):
        self.fails = None  # what loading raises
        given = [Parameter("autostart", value=False), Parameter("queries", value=["door"])]
        self.node = GroundingNode(load=self.load, context=context, parameter_overrides=given)
        self.state = "unconfigured"

    def load(self, config):
        if self.fails:
            raise self.fails("expected a model")
        return StubGrounder()

    def trigger(self, name):
        """Whether the transition was made."""
        numbers = NUMBERS[name]
        number = numbers[STATES.index(self.state)] if self.state in STATES else numbers[0]
        # what the service ~/change_state calls
        return self.node._LifecycleNodeMixin__change_state(number) == TransitionCallbackReturn.SUCCESS

    def do(self, name):
        """Trigger, and hold what came of it against the table."""
        expected = TABLE.get((self.state, name))
        assert self.trigger(name) == (expected is not None), (self.state, name)
        self.state = expected or self.state
        self.check()

    def check(self):
        node = self.node
        assert node._state_machine.current_state[1] == self.state
        assert (node._worker is not None) == (self.state == "active")
        assert (node._grounder is not None) == (self.state in ("inactive", "active"))
        opened = [each for each in node.subscriptions if each.topic_name in ("/image", "/depth", "/camera_info")]
        assert len(opened) == (3 if self.state == "active" else 0)
        thinking = [each for each in threading.enumerate() if each.name in ("looking", "answering")]
        assert len(thinking) == (2 if self.state == "active" else 0)


@pytest.fixture(scope="module")
def context():
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    yield context
    context.try_shutdown()


@pytest.fixture
def life(context):
    life = Life(context)
    yield life
    life.node.destroy_node()


def test_every_order_of_four_transitions(life):
    for names in product(("configure", "activate", "deactivate", "cleanup"), repeat=4):
        for name in names:
            life.do(name)
        for name in BACK[life.state]:
            life.do(name)


@pytest.mark.parametrize("way", [(), ("configure",), ("configure", "activate")])
def test_shutdown_from_every_state_is_final(life, way):
    for name in (*way, "shutdown", "shutdown", "configure", "activate", "cleanup"):
        life.do(name)
    assert life.state == "finalized"


@pytest.mark.parametrize("error", EXPECTED)
def test_configure_that_fails_leaves_it_unconfigured_and_says_why_and_the_next_succeeds(life, error, capfd):
    life.fails = error
    assert not life.trigger("configure")
    life.check()
    assert EXPECTED[error] in life.node._failure
    log = capfd.readouterr().err
    assert log.count("[ERROR]") == 1 and EXPECTED[error] in log
    life.fails = None
    for name in ("configure", "activate", "deactivate", "cleanup"):
        life.do(name)
        assert life.node._failure == ""


@pytest.mark.parametrize(
    ("way", "broken", "name"),
    [
        (("configure",), "open", "activate"),
        (("configure", "activate"), "close", "deactivate"),
    ],
    ids=["activate", "deactivate"],
)
def test_error_in_a_transition_is_told_and_leaves_it_unconfigured(life, capfd, way, broken, name):
    for each in way:
        life.do(each)
    inputs = life.node._seats[0].inputs
    real = getattr(inputs, broken)

    def fail(*arguments):
        real(*arguments)
        raise ZeroDivisionError("told to fail")

    setattr(inputs, broken, fail)
    assert not life.trigger(name)
    delattr(inputs, broken)
    life.state = "unconfigured"
    life.check()
    assert life.node._failure == f"on_{name}: ZeroDivisionError: told to fail"
    assert life.node._failure in capfd.readouterr().err
    for each in ("configure", "activate", "deactivate", "cleanup", "shutdown"):
        life.do(each)


class AnyOrder(RuleBasedStateMachine):
    """Transitions, failing loads, errors, queries, pauses and images in any order."""

    @initialize()
    def start(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, args=[])
        self.life = Life(self.context)

    @rule(name=st.sampled_from(["configure", "activate", "deactivate", "cleanup"] * 5 + ["shutdown"]))
    def transition(self, name):
        self.life.do(name)

    @rule(error=st.sampled_from(list(EXPECTED)))
    def load_fails(self, error):
        if self.life.state != "unconfigured":
            return
        self.life.fails = error
        assert not self.life.trigger("configure")
        self.life.fails = None

    @rule()
    def close_fails(self):
        if self.life.state != "active":
            return
        inputs = self.life.node._seats[0].inputs
        real = type(inputs).close

        def fail():
            real(inputs)
            raise ZeroDivisionError

        inputs.close = fail
        assert not self.life.trigger("deactivate")
        del inputs.close
        self.life.state = "unconfigured"

    @rule(text=st.sampled_from(["ball", "cube; door", ""]))
    def ask(self, text):
        self.life.node._set_queries([each for each in text.split("; ") if each])

    @rule(enabled=st.booleans())
    def pause(self, enabled):
        self.life.node._on_enable(SimpleNamespace(data=enabled), SimpleNamespace())

    @rule()
    def image(self):
        if self.life.state == "active":
            self.life.node._worker.put("", b"")

    @invariant()
    def as_the_table_says(self):
        if hasattr(self, "life"):
            self.life.check()

    def teardown(self):
        if hasattr(self, "life"):
            self.life.node.destroy_node()
            self.context.try_shutdown()


AnyOrder.TestCase.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)
TestAnyOrder = AnyOrder.TestCase
