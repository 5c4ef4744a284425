"""Model and instruction sets of the processor, as Linux lists them in /proc/cpuinfo."""

from contextlib import suppress
from pathlib import Path

_FILE = Path("/proc/cpuinfo")
_BFLOAT16 = {"avx512_bf16", "amx_bf16"}


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


def multiplies_bfloat16() -> bool:
    """Return whether there are instructions for products of bfloat16."""
    return bool(_BFLOAT16 & instructions())
