"""Whatever is set at the start, by file or ``-p``: the node goes by it, or a line says which parameter does not fit."""

import signal
from contextlib import suppress

import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from given import NAMES, WORDS, number  # noqa: E402
from hypothesis import HealthCheck, example, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from gem_ros.benchmarks.stub import StubGrounder  # noqa: E402
from gem_ros.config import value_of  # noqa: E402
from gem_ros.errors import GemError  # noqa: E402
from gem_ros.ros import main as executable  # noqa: E402
from gem_ros.ros.node import GroundingNode  # noqa: E402

QUICK, SLOW = 80, 2000  # starts
LONGEST = 1000  # characters of a line
OURS, ROS = list(NAMES), ["use_sim_time", "start_type_description_service"]
STRANGE = ["no_such", "gem", "gem.no_such", "Queries", "queries ", "", "a" * 300, "ä", "queries.x"]
Type = Parameter.Type
integers = st.one_of(st.sampled_from([0, 1, -1, 5, 100, 256, 2**31, 2**63 - 1, -(2**63)]), st.integers(-9, 99))
texts = st.one_of(
    st.sampled_from(
        ["", " ", "0.5", "true", "auto", "map", "bundled", "a" * 10_000, "two\nlines", "nul\0", "🫖", "'\"{"]
    ),
    st.sampled_from(WORDS),
    st.text(max_size=9),
)
lists = st.one_of(st.lists(texts, max_size=4), st.just(["thing"] * 300), st.just([f"thing {n}" for n in range(300)]))
VALUES = {
    Type.BOOL: st.booleans(),
    Type.INTEGER: integers,
    Type.DOUBLE: number,
    Type.STRING: texts,
    Type.BYTE_ARRAY: st.sampled_from([[], [b"\0"], [b"a", b"\xff"]]),
    Type.BOOL_ARRAY: st.lists(st.booleans(), max_size=3),
    Type.INTEGER_ARRAY: st.lists(integers, max_size=3),
    Type.DOUBLE_ARRAY: st.lists(number, max_size=3),
    Type.STRING_ARRAY: lists,
    Type.NOT_SET: st.none(),
}
wild = st.sampled_from(list(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind]))


def fitting(name):
    """(type, value) that parameter ``name`` can have, as far as it alone knows."""
    each = NAMES[name]
    if each.choices:
        return st.sampled_from(each.choices).map(lambda v: (Type.STRING, v))
    return {
        bool: st.booleans().map(lambda v: (Type.BOOL, v)),
        int: st.integers(int(each.low or 0), int(each.high or 0)).map(lambda v: (Type.INTEGER, v)),
        float: st.floats(each.low, each.high).map(lambda v: (Type.DOUBLE, v)),
        str: texts.map(lambda v: (Type.STRING, v)),
        tuple: lists.map(lambda v: (Type.STRING_ARRAY, v)),
    }[each.type]


def named(names, values):
    return st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), values(name)))


one = st.one_of(named(OURS, fitting), named(OURS, lambda name: wild), named(ROS + STRANGE, lambda name: wild))
some = st.lists(one, min_size=1, max_size=3, unique_by=lambda each: each[0])


@pytest.fixture(scope="module")
def context():
    made = rclpy.Context()
    rclpy.init(context=made, args=[])
    yield made
    made.try_shutdown()


def meant(name, value):
    """What a value that fits is to the config."""
    if NAMES[name].type is tuple:
        return tuple(each for each in value or () if each.strip())
    return float(value) if NAMES[name].type is float else value


def check_line(line, names):
    assert line and len(line.splitlines()) == 1 and len(line) <= LONGEST, line
    assert any((name if name != "queries" else "quer") in line for name in names), (line, names)


def start(context, overrides):
    """The property; whether it started."""
    given = [Parameter(name, kind, value) for name, (kind, value) in overrides]
    node = GroundingNode.__new__(GroundingNode)
    try:
        node.__init__(lambda config: StubGrounder(0.0), context=context, parameter_overrides=given)
        for name, (_, value) in overrides:
            if name in NAMES and value is not None:
                assert value_of(node._asked.config, name) == meant(name, value)
                told = node.get_parameter(name).value
                assert meant(name, told) == meant(name, value)
        return True
    except GemError as error:
        check_line(str(error), [name for name, _ in overrides if name not in STRANGE])
        return False
    finally:  # what refused to start, too: else it stays in the graph until Python collects it
        with suppress(AttributeError):
            node.destroy_node()


def many(examples):
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def starts(context, examples):
    """Run the property; how many of the nodes started."""
    started = []

    @seed(1)
    @many(examples)
    @given(some)
    @example([("queries", (Type.INTEGER, 5))])  # what was found
    @example([("negatives", (Type.BOOL, False))])
    @example([("use_sim_time", (Type.INTEGER, 1))])
    @example([("max_depth", (Type.DOUBLE, float("nan")))])
    def property(overrides):
        started.append(start(context, overrides))

    property()
    return sum(started) / len(started)


def test_what_is_given_at_the_start_counts_or_is_refused_in_a_line(context):
    assert 0.1 < starts(context, QUICK) < 0.9


@pytest.mark.slow
def test_so_it_is_two_thousand_times(context):
    starts(context, SLOW)


# What people and scripts leave in files and on command lines.
written = st.one_of(
    st.sampled_from(
        ["", "null", "~", "[]", "['']", "[1, 2]", "[1, a]", "{a: 1}", "1e400", ".nan", "!!binary aGk=", "&a"]
    ),
    st.sampled_from(["'", '"', "[", "{", "*a", "a: b", "\t", "0x10", "1_0", "99999999999999999999", "\udcff", "on"]),
    st.one_of(number, integers, texts.filter(lambda text: "\0" not in text)).map(str),
)
argument = st.tuples(st.sampled_from(OURS + ROS + STRANGE), written)
laid = st.lists(argument, min_size=1, max_size=3).map(
    lambda all: "".join(f"    {name}: {value}\n" for name, value in all)
)
files = st.one_of(
    laid.map(lambda lines: f"/**:\n  ros__parameters:\n{lines}"),
    laid.map(lambda lines: f"grounding:\n  ros__parameters:\n{lines}"),
    laid,
    st.text(max_size=30),
    st.binary(max_size=30),
)


@pytest.fixture
def run(monkeypatch, capfd):
    """The executable with arguments, told to end before it begins; its status and what it complained of."""
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    monkeypatch.setattr(executable.gc, "freeze", lambda: None)
    monkeypatch.setattr(executable, "_interrupted", [signal.SIGTERM])

    def run(*arguments):
        status = executable.main(["--ros-args", *arguments], lambda config: StubGrounder(0.0))
        said = capfd.readouterr().err.splitlines()
        return status, [line for line in said if "[grounding]: " in line or line.startswith("grounding_node: ")]

    return run


def ends_well(status, lines):
    assert (status, len(lines)) in ((0, 0), (2, 1)) and all(len(each) <= LONGEST for each in lines), (status, lines)


def command_lines(run, path, examples):
    @seed(1)
    @many(examples)
    @given(argument)
    def arguments(each):
        ends_well(*run("-p", f"{each[0]}:={each[1]}"))

    @seed(1)
    @many(examples)
    @given(files)
    def parameter_files(text):
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
        ends_well(*run("--params-file", str(path)))

    arguments()
    parameter_files()


@pytest.mark.slow
def test_what_is_written_on_a_command_line_or_in_a_file_is_taken_or_refused_in_a_line(run, tmp_path):
    command_lines(run, tmp_path / "parameters.yaml", 300)
