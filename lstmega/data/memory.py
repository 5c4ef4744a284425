"""Memory that a reader would need, compared with the memory that is free, before anything is read."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lstmega.errors import CorpusError

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_FILES = (  # limit, use, and the line of memory.stat with what the kernel gives back: cgroups 2, then 1
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def check(need: int, what: str) -> None:
    """Refuse what needs more memory than is free; where that is unknown, nothing is refused.

    Args:
        need: In bytes.
        what: The data, as the subject of a sentence.

    Raises:
        CorpusError: It does not fit; the message has both numbers.
    """
    free = available()
    if free is not None and need > free:
        raise CorpusError(
            f"{what} would need about {_megabytes(need)} of memory. Received: {_megabytes(free)} that "
            "are free. Accepted: less data, or more free memory."
        )


def available() -> int | None:
    """Return the bytes that are free for this process (Linux: the machine's, its cgroups'), or None."""
    return min([*_of_machine(), *_of_cgroups()], default=None)


def _of_machine() -> Iterator[int]:
    yield from (1024 * kibibytes for kibibytes in _numbers(PROC / "meminfo", "MemAvailable:"))


def _of_cgroups() -> Iterator[int]:
    for line in _lines(PROC / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        names, root = _FILES[controllers == "memory"], CGROUPS / controllers
        group = root / path.strip("/")
        # A limit may be set on any group above; in a container the path may be that outside.
        for place in (group, *group.parents):
            if place.is_relative_to(root):
                yield from _of_cgroup(place, *names)


def _of_cgroup(place: Path, limit: str, use: str, given_back: str) -> Iterator[int]:
    for most, used in zip(_numbers(place / limit), _numbers(place / use), strict=False):
        cached = sum(_numbers(place / "memory.stat", given_back))
        yield max(0, most - used + cached)


def _numbers(path: Path, name: str = "") -> Iterator[int]:
    """Yield the number of a file, or of its line that begins with a name; none where it has none."""
    for line in _lines(path):
        words = line.split()
        if len(words) > bool(name) and (not name or words[0] == name):
            with suppress(ValueError):  # "max", no limit
                yield int(words[bool(name)])


def _lines(path: Path) -> list[str]:
    with suppress(OSError, ValueError):
        return path.read_text(encoding="utf-8").splitlines()
    return []


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
