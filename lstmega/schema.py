"""JSON -> frozen dataclasses, trusting nothing: every field present, known and of its declared type."""

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lstmega.errors import RunError

T = TypeVar("T")


def parse(content: bytes, where: str) -> Any:
    """Return the JSON value of `content`.

    Raises:
        RunError: It is not JSON, too deeply nested, or holds NaN or Infinity.
    """
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where} is not readable JSON: {error}.") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def build(cls: type[T], content: Any, where: str) -> T:
    """Make the dataclass `cls` from a JSON object.

    Args:
        cls: A dataclass whose fields are numbers, text, `Literal`s, mappings, other dataclasses, tuples
            of one of these, or one of these or None.
        content: What JSON held.
        where: The object's name in messages.

    Raises:
        RunError: A field is missing, unknown or of another type.
    """
    names = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if not isinstance(content, dict):
        raise RunError(f"{where} must be a JSON object. Received: {content!r:.80}.")
    if odd := sorted(set(content) ^ set(names)):
        raise RunError(f"{where} has missing or unknown fields: {odd}. Accepted: {names}.")
    hints = get_type_hints(cls)
    return cls(**{name: _value(hints[name], content[name], f"{where}: {name}") for name in names})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else _value(arguments[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, where) for item in value)
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    if not _fits(hint, origin, arguments, value):
        raise RunError(f"{where} must be {_name(hint)}. Received: {value!r:.80}.")
    return value


def _fits(hint: Any, origin: Any, arguments: tuple[Any, ...], value: Any) -> bool:
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if hint is float:
        return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)
    if (
        origin is Mapping
        or hint is Mapping
        or (isinstance(origin, type) and issubclass(origin, Mapping))
    ):
        return isinstance(value, dict)
    return type(value) is hint


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint))
