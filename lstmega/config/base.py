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


def real(flag: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number within bounds.

    Raises:
        UsageError: It is something else; the message names `flag`.
    """
    try:
        number = (
            math.nan if isinstance(value, bool) or not isinstance(value, numbers.Real) else float(value)
        )
    except OverflowError:
        number = math.nan
    if not math.isfinite(number):
        raise refusal(flag, "a finite number", value)
    if not low <= number <= high:
        raise refusal(flag, f"from {low:g} to {high:g}", value)
    return number


def refusal(flag: str, accepted: str, received: object) -> UsageError:
    """Return the error that says what is accepted and what came in."""
    return UsageError(f"{flag} must be {accepted}. Received: {received!r:.200}.")
