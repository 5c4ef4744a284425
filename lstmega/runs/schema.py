"""JSON <-> frozen dataclasses; untrusted JSON must have exactly the declared fields and types."""

import dataclasses
import hashlib
import json
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lstmega.errors import DamageError, RunError

T = TypeVar("T")
MAX_VALUES = 4 << 20  # of a JSON file, where nothing tells how many it can have
_MOST = 1e40  # above every float32


def seal(content: Mapping[str, Any], number: int) -> bytes:
    """Return a JSON object with its schema's number and the sha256 of both.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    fields = {"schema": number, **content}
    return json.dumps({"sha256": _digest(fields), **fields}, indent=1, allow_nan=False).encode()


def unseal(content: bytes, number: int, where: str, *, values: int = MAX_VALUES) -> dict[str, Any]:
    """Return the object that `seal` wrote, without schema and hash.

    Args:
        content: The file.
        number: The schema that is read.
        where: The file's name in messages.
        values: JSON values that it may have, about.

    Raises:
        DamageError: It is no JSON object, or was changed since.
        RunError: It is of a newer schema.
    """
    fields = parse(content, where, values=values)
    if not isinstance(fields, dict):
        raise DamageError(f"{where} must hold a JSON object. Received: {fields!r:.80}.")
    expected, digest = fields.pop("sha256", None), _digest(fields)
    if digest != expected:
        raise DamageError(f"{where} is damaged: its sha256 is {digest}, the file has {expected!r:.80}.")
    if (found := fields.pop("schema", None)) != number:
        raise RunError(
            f"{where} was written in schema {found!r:.20}; this lstmega reads schema {number}. "
            f"Use the version that wrote it: {fields.get('versions')!r:.200}."
        )
    return fields


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse(content: bytes, where: str, *, values: int = MAX_VALUES) -> Any:
    """Return the JSON value of `content`.

    Raises:
        DamageError: It is not JSON, too deeply nested, of too many values, or holds NaN or Infinity.
    """
    # Each value but the first has one of these before it; texts may have more of them.
    if (found := sum(map(content.count, (b",", b"[", b"{")))) > values:
        raise DamageError(
            f"{where} has too many values. Received: about {found:,}. Accepted: {values:,}."
        )
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DamageError(f"{where} is not readable JSON: {error}.") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def build(cls: type[T], content: Any, where: str) -> T:
    """Make the dataclass `cls` from a JSON object.

    Args:
        cls: A dataclass whose fields are numbers, text, `Literal`s, mappings, other dataclasses, tuples
            of one of these, or one of these or None.
        content: The value from JSON; fields with a default may be absent.
        where: The object's name in messages.

    Raises:
        RunError: A field is missing, unknown or of another type.
    """
    items = {_stored_name(item): item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if not isinstance(content, dict):
        raise RunError(f"{where} must be a JSON object. Received: {content!r:.80}.")
    needed = {name for name, item in items.items() if _is_needed(item)}
    if odd := sorted((set(content) - set(items)) | (needed - set(content))):
        raise RunError(f"{where} has missing or unknown fields: {odd}. Accepted: {list(items)}.")
    older = {
        name: item.metadata["before"] for name, item in items.items() if item.metadata.get("before")
    }
    content, hints = older | content, get_type_hints(cls)
    return cls(
        **{
            items[name].name: _value(hints[items[name].name], value, f"{where}: {name}")
            for name, value in content.items()
        }
    )


def to_json(value: Any) -> Any:
    """Return a dataclass as the JSON object that `build` reads; fields have their stored names."""
    if dataclasses.is_dataclass(value):
        items = dataclasses.fields(value)
        return {_stored_name(item): to_json(getattr(value, item.name)) for item in items}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, list | tuple) else value


def _stored_name(item: "dataclasses.Field[Any]") -> str:
    """Return a field's name in JSON: the one that it had first, so that runs last."""
    return item.metadata.get("alias") or item.name


def _is_needed(item: "dataclasses.Field[Any]") -> bool:
    """Return whether a field has no default; one that was added later has, so old files still read."""
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else _value(arguments[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, where) for item in value)
    if origin is Mapping and isinstance(value, dict):
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    if not _fits(hint, origin, arguments, value):
        raise RunError(f"{where} must be {_name(hint)}. Received: {value!r:.80}.")
    return value


def _fits(hint: Any, origin: Any, arguments: tuple[Any, ...], value: Any) -> bool:
    if hint is Any:
        return True
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if type(value) is int and abs(value) >= 2**63:
        return False
    if hint is float:
        return type(value) in (int, float) and abs(value) <= _MOST  # false for nan
    return type(value) is hint


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint))
