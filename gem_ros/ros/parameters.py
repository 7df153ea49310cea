"""Config -> declared parameters -> Config: nothing about a parameter is said here, all of it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from gem_ros.config import Config, Parameter, parameters, replace, value_of
from gem_ros.errors import ConfigError, GemError
from gem_ros.models import default_config
from gem_ros.queries import check_negatives, parse_queries

TYPES = {
    bool: RosParameter.Type.BOOL,
    int: RosParameter.Type.INTEGER,
    float: RosParameter.Type.DOUBLE,
    str: RosParameter.Type.STRING,
    tuple: RosParameter.Type.STRING_ARRAY,
}
MOST = 200  # characters of rclpy's, whose last say which parameter
NAMES = {each.name: each for each in parameters()}


def declare(node: Node) -> Config:
    """Declare every parameter and return what it was set to (file, ``-p``), else the default of the model's card.

    Raises a :class:`GemError` naming the first value that does not fit.
    """
    model = NAMES["model"].check(_override(node, "model", Config.model))
    defaults = default_config(model)
    values = {name: _override(node, name, default) for name, default in _values(defaults)}
    config = replace(defaults, values)
    _check_texts(config)
    for name, value in _values(config):
        _declare(node, to_ros(name, value), _descriptor(NAMES[name]))
    return config


@contextmanager
def refused() -> Iterator[None]:
    """rclpy's complaint about a parameter of its own (``use_sim_time: 1``) is a :class:`ConfigError`, in one line."""
    try:
        yield
    except ParameterException as error:
        raise ConfigError(" ".join(str(error).split())[-MOST:]) from error


def to_ros(name: str, value: Any) -> RosParameter:
    """A value as a ROS parameter, its type said even where a list is empty."""
    kind = NAMES[name].type
    return RosParameter(name, TYPES[kind], list(value) if kind is tuple else value)


def coerced(changes: Iterable[RosParameter]) -> list[RosParameter]:
    """What people type is taken for what they mean: ``5`` for 5.0, ``[]`` for no strings."""
    return [_coerce(each) for each in changes]


def changed(config: Config, changes: Iterable[RosParameter]) -> Config:
    """``config`` with ``changes``; those of other owners (``use_sim_time``) are passed over.

    Raises a :class:`GemError` with the reason for the first that does not fit.
    """
    after = replace(config, {each.name: each.value for each in changes if each.name in NAMES})
    _check_texts(after)
    return after


def verdict(config: Config, changes: Iterable[RosParameter]) -> SetParametersResult:
    """Whether ``changes`` may be made, and if not, why."""
    try:
        changed(config, changes)
    except GemError as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)


def _check_texts(config: Config) -> None:
    parse_queries(config.queries, config.max_queries)
    check_negatives(config.negatives)


def _declare(node: Node, parameter: RosParameter, descriptor: ParameterDescriptor) -> None:
    if parameter.type_ != RosParameter.Type.STRING_ARRAY:
        node.declare_parameter(parameter.name, parameter.value, descriptor, ignore_override=True)
        return
    # by type, then by value, and read-only from then on: rclpy takes an empty list for bytes
    node.declare_parameter(parameter.name, parameter.type_, ignore_override=True)
    node.set_parameters([parameter])
    descriptor.type = parameter.type_.value
    node.set_descriptor(parameter.name, descriptor)


def _values(config: Config) -> Iterator[tuple[str, Any]]:
    for name in NAMES:
        yield name, value_of(config, name)


def _override(node: Node, name: str, default: Any) -> Any:
    """What the user set, of whatever type it is: rclpy's own complaint about a type would be a traceback."""
    if node.has_parameter(name):
        value = node.get_parameter(name).value
    else:
        ros = to_ros(name, default)
        value = node.declare_parameter(name, ros.value, ParameterDescriptor(dynamic_typing=True)).value
        node.undeclare_parameter(name)
    return () if value is None and NAMES[name].type is tuple else value


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    low, high = parameter.low, parameter.high
    descriptor = ParameterDescriptor(
        name=parameter.name,
        description=parameter.help + unit,
        additional_constraints=f"one of {', '.join(parameter.choices)}" if parameter.choices else "",
        read_only=not parameter.dynamic,
    )
    if low is not None and high is not None:
        if parameter.type is int:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    return descriptor


def _coerce(parameter: RosParameter) -> RosParameter:
    kind = NAMES[parameter.name].type if parameter.name in NAMES else None
    if kind is float and parameter.type_ == RosParameter.Type.INTEGER:
        return to_ros(parameter.name, float(parameter.value))
    if kind is tuple and parameter.value is not None and not isinstance(parameter.value, str):
        empty = not isinstance(parameter.value, bool | int | float) and len(parameter.value) == 0
        return to_ros(parameter.name, ()) if empty else parameter
    return parameter
