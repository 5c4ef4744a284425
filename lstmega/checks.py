"""Numbers that a user gave, checked; the error names the command line's flag."""

import math
import numbers
import sys

from lstmega.errors import UsageError


def whole(flag: str, value: object, low: int, high: int) -> int:
    """Return a whole number within bounds.

    Raises:
        UsageError: It is something else; the message names `flag`.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise refusal(flag, "a whole number", value)
    if not low <= (number := int(value)) <= high:
        bounds = f"at least {low}" if high == sys.maxsize else f"from {low} to {high}"
        raise refusal(flag, bounds, value)
    return number


def real(flag: str, value: object) -> float:
    """Return a finite number.

    Raises:
        UsageError: It is something else; the message names `flag`.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise refusal(flag, "a finite number", value)
    return float(value)


def refusal(flag: str, accepted: str, received: object) -> UsageError:
    """Return the error that says what came in and what is accepted."""
    return UsageError(f"{flag} cannot be used. Received: {received!r:.200}. Accepted: {accepted}.")
