"""The real node in this process: its threads are calls, its clock is the test's, its model thinks nothing.

So the same messages in the same order always do the same, and all that the node says is checked.
"""

import threading
import zlib
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from spoken import Listener
from std_srvs.srv import SetBool, Trigger

from gem_ros.config import parameters as every_parameter
from gem_ros.config import value_of
from gem_ros.core.pretrained import LoadedModel
from gem_ros.core.scores import Scores
from gem_ros.models import DEFAULT_CARD
from gem_ros.pipeline import Grounder
from gem_ros.ros import answering, diagnostics, looking, node, outputs, parameters, receiving, worker
from gem_ros.ros.mailbox import Mailbox
from gem_ros.ros.worker import Worker

DEFAULTS = {each.name: each.default for each in every_parameter() if each.dynamic} | {"image_size": 64}
ASKED = ("red mug:0", "ball:0", "door")
CHANNELS, PATCH = 8, 16  # of a token; px


class Text:
    """A direction for every text, the same each time."""

    def unknown_words(self, text):
        return tuple(word for word in text.split() if word == "gleep")

    def knows(self, text):
        return not self.unknown_words(text)

    def embed(self, texts):
        rows = np.array([np.random.default_rng(zlib.crc32(each.encode())).normal(size=CHANNELS) for each in texts])
        return torch.nn.functional.normalize(torch.from_numpy(rows.astype(np.float32)), dim=-1)


class Tower:
    """(n, 3, h, w) -> unit tokens (n, patches, CHANNELS) that depend on the picture, as a transformer's do."""

    patch_size, dtype, attend = (PATCH, PATCH), torch.float32, staticmethod(torch.nn.functional.normalize)
    cls = False

    def __call__(self, pixels):
        seen = torch.nn.functional.avg_pool2d(pixels, PATCH).flatten(2).sum(1)[..., None]  # (n, patches, 1)
        place = torch.arange(seen.shape[1])[None, :, None] + torch.arange(CHANNELS)
        return torch.nn.functional.normalize(torch.sin(7 * seen + 3 * place), dim=-1)


def load(config):
    """The real pipeline, with another vision tower and another text tower."""
    clip = SimpleNamespace(logit_scale=torch.ones(()), visual=None)
    # templates: what the texts would be put into; there is no tower to put them through
    model = LoadedModel(clip, None, (0.5,) * 3, (0.25,) * 3, "bilinear", (PATCH, PATCH), DEFAULT_CARD)
    grounder = Grounder(model, config, Tower())
    grounder.text = Text()
    grounder._scores = Scores(grounder.text, grounder.examples, DEFAULT_CARD)
    return grounder


class Still:
    """A thread that the test runs."""

    def __init__(self, **named):
        pass

    def start(self):
        pass

    def join(self, patience=None):
        pass

    def is_alive(self):
        return False


class Polled(Mailbox):
    """Does not wait: without work it is as when it is closed."""

    def wait(self):
        return not self._closed and not self.empty


class Clock:
    """Steady time that goes on when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


def _unforeseen():
    """In place of traceback.format_exc in the worker: what would have been a traceback in the log is a failure here."""
    raise AssertionError("the worker met an exception that is no GemError")


@contextmanager
def steady(clock):
    """The node's threads are calls from here on, its steady time is ``clock``'s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "threading", SimpleNamespace(Thread=Still, Lock=threading.Lock, Event=threading.Event))
        patch.setattr(receiving, "threading", SimpleNamespace(Thread=Still, Event=threading.Event))
        patch.setattr(worker, "Mailbox", Polled)
        patch.setattr(worker, "QUICK", -1.0)  # to look and to answer are two calls: anything may come in between
        patch.setattr(worker, "traceback", SimpleNamespace(format_exc=_unforeseen))
        patch.setattr(outputs, "listeners", lambda node, topic: frozenset({b"planner"}))
        for module in (worker, answering, looking, diagnostics, node):
            patch.setattr(module, "time", clock)
        yield


class Rig:
    """The node, active; :meth:`hear` a message, :meth:`think` about it, and what it says goes to ``listener``."""

    def __init__(self, context, clock, *, live=False, **overrides):
        given = [Parameter(name, value=value) for name, value in (overrides | {"autostart": False}).items()]
        self.node = node.GroundingNode(load, context=context, parameter_overrides=given)
        self.clock, self.listener = clock, Listener(overrides.get("target_frame", ""))
        self.node.count_publishers = lambda topic: int(live)  # whether partners are waited for
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        self.activate()
        fresh = {name: value for name, value in DEFAULTS.items() if name not in overrides} | {"queries": ASKED}
        self._fresh = [parameters.to_ros(name, value) for name, value in fresh.items()]
        publishers = {"/queries": self.node._announcement.publisher, "/diagnostics": self.node._diagnostics._publisher}
        for seat in self.node._seats:
            publishers |= {f"{seat.name}/{name}": each for name, each in seat.outputs.publishers.items()}
        for name, publisher in publishers.items():
            publisher.get_subscription_count = lambda: 1
            publisher.publish = partial(self.listener.hear, *name.split("/", 1))

    @property
    def callbacks(self):
        """What the executor or the receiver would call, by topic, and whether with bytes."""
        return {each.topic_name.lstrip("/"): (each.callback, each.raw) for each in self.node.subscriptions}

    def activate(self):
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self._callbacks = self.callbacks

    def deactivate(self):
        assert self.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        self._callbacks = self.callbacks

    def hear(self, topic, message):
        """As from the wire; a topic that is not subscribed to is not heard."""
        if topic in self._callbacks:
            callback, raw = self._callbacks[topic]
            callback(serialize_message(message) if raw and not isinstance(message, bytes) else message)

    def look(self):
        if self._worker and self._worker._views._items:  # it would wait for the other thread
            self.answer()
        if self._worker:
            self._worker._look()

    def answer(self):
        if self._worker:
            self._worker._answer()

    def think(self):
        """Both threads until neither has anything to do."""
        self.look()
        self.node._image_queries.finish()
        self.answer()

    @property
    def _worker(self) -> Worker | None:
        return self.node._worker

    def set(self, *parameters, together=False):
        """``parameters`` (rcl_interfaces messages) as a client of the node's service sets them; the results."""
        service = self.node._parameter_service
        if together:
            request = SetParametersAtomically.Request(parameters=list(parameters))
            answer = service._set_parameters_atomically_callback(request, SetParametersAtomically.Response())
            return [answer.result]
        request = SetParameters.Request(parameters=list(parameters))
        return service._set_parameters_callback(request, SetParameters.Response()).results

    @property
    def asked(self):
        return self.node._asked

    def check_parameters(self):
        """What clients are told is what the node goes by."""
        for name in DEFAULTS:
            told, meant = self.node.get_parameter(name).value, value_of(self.asked.config, name)
            assert (tuple(each for each in told if each.strip()) if isinstance(meant, tuple) else told) == meant, name

    def enable(self, yes):
        assert self.node._on_enable(SetBool.Request(data=yes), SetBool.Response()).success

    def clear(self):
        assert self.node._on_clear(Trigger.Request(), Trigger.Response()).success

    def diagnose(self):
        self.node._diagnostics.tick(self.node._situation())

    def refresh(self):
        """Parameters as they were at first, something asked that is found, and nothing paused."""
        self.enable(True)
        changed = parameters.changed(self.node._asked.config, self._fresh)
        if changed != self.node._asked.config:
            result = self.node.set_parameters_atomically(self._fresh)  # one by one, max_depth may be below min_depth
            assert result.successful, result.reason

    def close(self):
        self.node.destroy_node()
