"""The one way in which files of a run are read: whatever is wrong with them becomes a RunError.

A run may come from somebody else, so any number, text or structure in it can be anything.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from lstmega import files
from lstmega.errors import LstmegaError, RunError, reason_of

T = TypeVar("T")

# What Python, NumPy and the readers of formats raise for values that they do not expect.
_FAULTS = (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)


@contextmanager
def guarded(path: Path, damage: type[RunError] = RunError) -> Iterator[None]:
    """Turn every error about a file of a run into one that names the file.

    Args:
        path: The file, or the directory of a state.
        damage: The error to raise.

    Raises:
        RunError: As it was raised inside, or `damage` for an error of another class.
    """
    try:
        yield
    except RunError:
        raise
    except LstmegaError as error:
        raise damage(f"{path}: {error}") from error
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else path  # it may be a number
        raise damage(f"{place} cannot be read: {reason_of(error)}.") from error
    except _FAULTS as error:
        raise damage(f"{path} is damaged: {error}.") from error


def load(path: Path, most: int, parse: Callable[[bytes], T], sha256: str | None = None) -> T:
    """Return what `parse` makes of a file.

    Args:
        path: The file.
        most: Bytes that it may have; a larger one is not read.
        parse: Called with the content.
        sha256: The hash of the content, where it is known.

    Raises:
        RunError: The file cannot be read, is too large, has another hash, or `parse` fails.
    """
    with guarded(path):
        content = files.read(path, most)
        if sha256 is not None:
            compare_hashes(path, digest(content), sha256)
        return parse(content)


def text(content: bytes) -> str:
    """Return the text of a run's file; the inverse of `directory.encode`."""
    return content.decode("utf-8", "surrogatepass")


def digest(content: bytes) -> str:
    """Return the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def compare_hashes(path: Path, found: str, expected: str) -> None:
    """Raise RunError where the hash of a file differs from that in run.json."""
    if found != expected:
        raise RunError(f"{path} is damaged: its sha256 is {found}, in run.json it is {expected!r:.80}.")
