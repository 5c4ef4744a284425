"""What Linux tells about the processor."""

from contextlib import suppress
from pathlib import Path

_FILE = Path("/proc/cpuinfo")


def fields() -> dict[str, str]:
    """Return the fields of the first processor, with names in lower case; none on other systems."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for line in _FILE.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip().lower(), value.strip())
    return found


def instructions() -> set[str]:
    """Return the names of the instruction sets."""
    found = fields()
    return set((found.get("flags") or found.get("features", "")).split())
