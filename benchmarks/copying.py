"""Measure the index of a training text: time to build it, memory, and seconds of a look-up.

    python -m benchmarks.copying nietzsche.txt english_novels.txt

Each text is indexed in a process of its own, so that its peak is its own; the text itself counts.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np

from lstmega.data.corpus import read
from lstmega.data.suffix_array import TextIndex

QUERY = 100_000  # characters: words of the text in another order


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="*", default=["pydoc"])
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    given = parser.parse_args(arguments)
    if given.here:
        print(measured(given.texts[0]))
        return
    print(
        "| text | characters | to index | peak, bytes per character | 100,000 compared "
        "| 100,000 copied | one look-up |"
    )
    print(f"|{' --- |' * 7}", flush=True)
    for text in ["pydoc"] if given.check else given.texts:
        command = [sys.executable, __file__, "--here", text]
        print(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout,
            end="",
            flush=True,
        )


def measured(source: str) -> str:
    """Return the row of one text."""
    before = peak()
    text = read([source]).text
    start = time.perf_counter()
    index = TextIndex(text)
    indexed = time.perf_counter() - start
    memory = (peak() - before) / len(text)
    query = shuffled(text)
    start = time.perf_counter()
    index.matches(query)
    compared = time.perf_counter() - start
    start = time.perf_counter()
    index.matches(text[:QUERY])
    copied = time.perf_counter() - start
    start = time.perf_counter()
    for at in range(1000):
        index.following(text[at * 7 : at * 7 + 20])
    look_up = (time.perf_counter() - start) / 1000
    name = source.rpartition("/")[2]
    return (
        f"| {name} | {len(text):,} | {indexed:.2f} s | {memory:.1f} | {compared:.2f} s | "
        f"{copied:.2f} s | {look_up * 1e6:.0f} µs |"
    )


def shuffled(text: str) -> str:
    """Return words of a text in another order."""
    words = text[: 2 * QUERY].split()
    np.random.default_rng(0).shuffle(words)
    return " ".join(words)[:QUERY]


def peak() -> int:
    """Return the most memory that this process has had, in bytes (Linux counts in KiB)."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


if __name__ == "__main__":
    main()
