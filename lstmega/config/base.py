"""Frozen option dataclasses: every field has a type, bounds and help text, and is checked once.

The command line is made from these fields: a field `batch_size` is the option `--batch-size`, its `doc`
is the help text. An `alias` is the field's earlier name: it stays valid as an option and as a keyword,
and it is the name in run.json, so that runs last.
"""

import dataclasses
import difflib
import math
import numbers
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from lstmega.errors import UsageError


def option(
    default: Any,
    doc: str,
    low: float = 0,
    high: float = 0,
    *,
    alias: str | None = None,
    before: Any = None,
) -> Any:
    """Return a dataclass field with help text, and bounds where it is a number.

    Args:
        default: The default value.
        doc: One sentence of help.
        low, high: Bounds of a number, both included.
        alias: The field's earlier name.
        before: The value in runs that are older than the field, where it is not the default.
    """
    about = {"doc": doc, "low": low, "high": high, "alias": alias, "before": before}
    return field(default=default, metadata=about)


class Config:
    """Base class of the option dataclasses: checks all fields, and accepts their earlier names."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            value = _checked(item, hints[item.name], getattr(self, item.name))
            object.__setattr__(self, item.name, value)

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all fields."""
        return [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]

    @classmethod
    def aliases(cls) -> dict[str, str]:
        """Return earlier name -> name, of the fields that have an earlier name."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        return {alias: item.name for item in fields if (alias := item.metadata.get("alias"))}

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Make the dataclass from names, or earlier names, and values.

        Raises:
            UsageError: A name is not a field, or a value is out of bounds.
        """
        return cls(**renamed(options, cls))

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


def renamed(options: Mapping[str, Any], *configs: type[Config]) -> dict[str, Any]:
    """Return options with earlier names replaced by the names of today.

    Raises:
        UsageError: A name belongs to none of `configs`, or an option is given under both of its names.
    """
    aliases = {alias: name for config in configs for alias, name in config.aliases().items()}
    known = [name for config in configs for name in config.names()]
    check_names(options, [*known, *aliases])
    for alias, name in aliases.items():
        if options.get(alias) is not None and options.get(name) is not None:
            raise UsageError(f"{name} and {alias} are one option. Received: both. Accepted: {name}.")
    found = {name: value for name, value in options.items() if name not in aliases}
    return found | {
        aliases[name]: value
        for name, value in options.items()
        if name in aliases and (value is not None or aliases[name] not in found)
    }


def check_names(given: Iterable[str], known: Sequence[str]) -> None:
    """Refuse option names that do not exist, and name the nearest one that does.

    Raises:
        UsageError: A name of `given` is not one of `known`.
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(f"There is no option {name!r}. {hint}Accepted: {', '.join(sorted(known))}.")


def flag(name: str) -> str:
    """Return the command line's spelling of a field: `batch_size` -> `--batch-size`."""
    return "--" + name.replace("_", "-")


def check_int(flag: str, value: object, low: int, high: int) -> int:
    """Return a whole number within bounds.

    Raises:
        UsageError: The value is something else; the message names `flag`.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise usage_error(flag, "a whole number", value)
    if not low <= (number := int(value)) <= high:
        no_end = high == sys.maxsize and number < low
        bounds = f"at least {low}" if no_end else f"from {low} to {high}"
        raise usage_error(flag, bounds, value)
    return number


def check_float(flag: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number within bounds.

    Raises:
        UsageError: The value is something else; the message names `flag`.
    """
    try:
        number = (
            math.nan if isinstance(value, bool) or not isinstance(value, numbers.Real) else float(value)
        )
    except OverflowError:
        number = math.nan
    if not math.isfinite(number):
        raise usage_error(flag, "a finite number", value)
    if not low <= number <= high:
        raise usage_error(flag, f"from {low:g} to {high:g}", value)
    return number


def check_choice(flag: str, value: object, choices: Sequence[str]) -> str:
    """Return a text that is one of `choices`.

    Raises:
        UsageError: The value is something else; the message names `flag`.
    """
    if not isinstance(value, str) or value not in choices:
        raise usage_error(flag, "one of: " + ", ".join(choices), value)
    return value


def usage_error(flag: str, accepted: str, received: object) -> UsageError:
    """Return the error for a bad value: the accepted values, and the received one."""
    return UsageError(f"{flag} must be {accepted}. Received: {received!r:.200}.")


def _checked(item: "dataclasses.Field[Any]", hint: Any, value: Any) -> Any:
    """Return a field's value, as a plain Python number where it is one."""
    kinds = get_args(hint) if get_origin(hint) not in (None, Literal, tuple) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind, name = kinds[0], flag(item.name)
    low, high = item.metadata["low"], item.metadata["high"]
    if get_origin(kind) is not tuple:
        return _one(kind, name, value, low, high)
    if value is None:
        return ()
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(
        _one(get_args(kind)[0], name, part, low, high) for part in (value if several else [value])
    )


def _one(kind: Any, name: str, value: Any, low: float, high: float) -> Any:
    if get_origin(kind) is Literal:
        return check_choice(name, value, get_args(kind))
    if kind is bool:
        if not isinstance(value, bool):
            raise usage_error(name, "True or False", value)
        return value
    if kind is str:
        if not isinstance(value, str) or not value:
            raise usage_error(name, "text of at least one character", value)
        return value
    if kind is int:
        return check_int(name, value, int(low), int(high))
    return check_float(name, value, low, high)
