"""What is read of a text when a run is looked into, and how.

The text is read once, with the state carried through: exactly up to 20,000 characters, above that in
lanes that are warmed up (`scores.py`). What a unit remembers for longer than that warm-up, a lane does
not know: inside a bracket that was opened 300 characters before its lane, say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Literal

import numpy as np
import numpy.typing as npt

from lstmega.config import base as checks
from lstmega.data.corpus import Corpus
from lstmega.data.vocabulary import Vocabulary
from lstmega.display import formatting as display
from lstmega.errors import UsageError
from lstmega.evaluation import scoring as scores
from lstmega.inference.decoder import Decoder, WindowDecoder
from lstmega.runs.run import Run

UnknownRule = Literal["error", "skip"]

_EXACT = 20_000  # characters up to which one lane reads the whole text
_LISTED = 10  # unknown characters that an error names


@dataclass(frozen=True)
class Passage:
    """Part of a text.

    Args:
        source: Which.
        text: It, at least two characters, skipped ones left out.
        unknown: How many were skipped.
        tokens: `char` or `byte`.
    """

    source: str
    text: str
    unknown: int
    tokens: Literal["char", "byte"]


def choose(run: Run, text: Corpus | None, *, characters: int | None, unknown: UnknownRule) -> Passage:
    """Return what is read of a text.

    Args:
        run: A trained run.
        text: What to read; None is the run's held-out tail.
        characters: Read the first ones only; None reads all.
        unknown: `error` refuses a text with characters that the run does not know; `skip` leaves
            them out. A run with `<unk>` reads them as that.

    Raises:
        UsageError: The text has unknown characters, less than two, or other tokens; an option is out
            of bounds.
    """
    if unknown not in ("error", "skip"):
        raise UsageError(f"--unknown must be error or skip. Received: {unknown!r}.")
    if characters is not None:
        checks.whole("--characters", characters, 2, 10**9)
    tokens, unit = run.record.text.tokens, display.unit(run.record.text.tokens)
    if text is not None and text.tokens != tokens:
        raise UsageError(
            f"{run.name} was trained on {tokens} tokens. Received: a text of {text.tokens} tokens. "
            f"Read it with tokens={tokens!r}."
        )
    whole = run.held_out if text is None else text.text
    content, left_out = _known(run.vocabulary, whole[:characters], unknown)
    if len(content) < 2:
        raise UsageError(
            f"A text to look at needs at least 2 {unit} that the run knows. Received: {len(content)}. "
            "Name another text with --text."
        )
    source = f"the held-out tail of {run.record.text.name}" if text is None else text.name
    if characters is not None and characters < len(whole):
        source = f"the first {characters:,} {unit} of {source}"
    return Passage(source, content, left_out, tokens)


def _known(vocabulary: Vocabulary, text: str, rule: UnknownRule) -> tuple[str, int]:
    """Return the text that can be read, and how many characters it lacks."""
    known = vocabulary.known(text)
    if vocabulary.has_unknown or known.all():
        return text, 0
    if rule == "skip":
        return "".join(compress(text, known)), int((~known).sum())
    found = vocabulary.unknown(text)
    name = "byte 0x{0:02X}" if vocabulary.kind == "byte" else "{1!r} (U+{0:04X})"
    listed = ", ".join(name.format(ord(c), c) for c in found[:_LISTED])
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    raise UsageError(
        "The text has characters that the run does not know. "
        f"Received: {listed}{more}. The run knows {len(vocabulary)}: {vocabulary.summary()}. "
        "--unknown skip leaves the others out."
    )


def read_states(run: Run) -> Decoder:
    """Return a run's model, whose units have a state that goes on.

    Raises:
        UsageError: It reads windows, each from the zero state.
    """
    decoder = run.decoder()
    if isinstance(decoder, WindowDecoder):
        raise UsageError(
            f"{run.name} reads every window from the zero state: no unit remembers. Received: "
            "--order windows. Accepted: runs of lanes, lines or shuffled text."
        )
    return decoder


def walk(
    decoder: Decoder, ids: npt.NDArray[np.integer], done: scores.Done | None = None
) -> Iterator[scores.Step]:
    """Read a text as this module does; arguments as for `scores.steps`."""
    length, warmup = scores.lane(len(ids), 1 if len(ids) <= _EXACT else None)
    return scores.steps(decoder, ids, length, warmup, done)
