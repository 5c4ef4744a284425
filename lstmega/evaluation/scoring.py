"""The cost of each character of a text for a trained model, in nats; NumPy alone.

Stream protocol: the state is carried from the first character to the last. To read many rows at once the
text is cut into lanes that are warmed up on the end of their predecessor (`data.batching.stream_lanes`).

Window protocol, as in nanoGPT: equal pieces, each read from the zero state. Its losses are higher,
because each window starts without context; they serve comparison.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import compress, pairwise
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from lstmega.config.base import check_choice, check_int
from lstmega.data.batching import MOST_ROWS, stream_lanes
from lstmega.data.corpus import Corpus
from lstmega.data.vocabulary import Vocabulary
from lstmega.display import formatting
from lstmega.errors import UsageError
from lstmega.inference.decoder import Array, Decoder, Reader, States, WindowDecoder, kept
from lstmega.runs.run import GeneratorRun

UnknownInText = Literal["error", "skip"]
Costs = npt.NDArray[np.float64]
WINDOW = 64  # characters of a window, by default
INSPECTED = 2000  # characters of a text that are inspected, by default
ReadProgress = Callable[[int, int], None]  # (characters read, characters in total)

_EXACT = 20_000  # characters up to which `walk` reads a text in one lane
_AT_ONCE = 4096  # steps whose ids are looked up at once
_LISTED = 10  # unknown characters that an error names


@dataclass(frozen=True)
class ReadStep:
    """The model's state and prediction after one more character in each lane.

    Args:
        places: Positions in the text of the characters that were read, `[counted]`.
        counted: Whether each row has one of these positions, `[rows]`; a short last lane ends early.
        logits: The prediction of the character after each, `[rows, vocabulary]`.
        states: The states after each; every array is `[units, rows]`.
    """

    places: npt.NDArray[np.intp]
    counted: npt.NDArray[np.bool_]
    logits: Array
    states: States


def stream(
    decoder: Reader,
    ids: npt.NDArray[np.integer],
    *,
    rows: int | None = None,
    progress: ReadProgress | None = None,
) -> Costs:
    """Return the cost of each id but the first, with the state carried from the first to the last.

    Args:
        decoder: The model.
        ids: The text, `[characters]`, at least two.
        rows: Lanes to read side by side; 1 reads exactly, more from a warmed-up state. None decides.
        progress: Called with the characters read so far and in total.

    Returns:
        Nats, `[characters - 1]`.

    Raises:
        UsageError: There is nothing to predict.
    """
    _, length, warmup = stream_lanes(_count(ids), rows)
    return _read(decoder, ids, length, warmup, progress)


def windows(
    decoder: Reader,
    ids: npt.NDArray[np.integer],
    *,
    length: int = WINDOW,
    progress: ReadProgress | None = None,
) -> Costs:
    """Return the costs as `stream` does, read in windows of `length` characters from the zero state.

    Raises:
        UsageError: There is nothing to predict, or the length is below 1.
    """
    if length < 1:
        raise UsageError(f"--window must be at least 1. Received: {length}.")
    count = _count(ids)
    costs = np.empty(count)
    block = MOST_ROWS * length  # rows of one matrix; the cost of a window is its own
    for start in range(0, count, block):
        piece = ids[start : start + block + 1]
        costs[start : start + block] = _read(decoder, piece, length, 0, None)
        if progress is not None:
            progress(min(start + block, count), count)
    return costs


def _count(ids: npt.NDArray[np.integer]) -> int:
    if len(ids) < 2:
        raise UsageError(f"Evaluation needs at least 2 characters. Received: {len(ids)}.")
    return len(ids) - 1


def steps(
    decoder: Reader,
    ids: npt.NDArray[np.integer],
    length: int,
    warmup: int,
    progress: ReadProgress | None = None,
    *,
    every: int = 1,
) -> Iterator[ReadStep]:
    """Read a text in lanes side by side, each from the zero state `warmup` characters before it.

    Args:
        decoder: The model.
        ids: The text, `[characters]`, at least one.
        length: Characters of a lane.
        warmup: Characters of its predecessor that a lane reads first; no step is yielded for them.
        progress: Called with the characters read so far and in total.
        every: Read every n-th lane only.

    Yields:
        One step of all lanes; together every place of these lanes once.
    """
    count = len(ids)
    firsts = np.arange(0, count, length)[::every]  # [rows]
    states = decoder.zero_states(len(firsts))
    # At the text's own start a lane begins anew: the characters before it were filler.
    cuts = {*range(-warmup, length, _AT_ONCE), *(-firsts[firsts <= warmup]).tolist(), length}
    for first, last in pairwise(sorted(cuts)):
        positions = firsts + np.arange(first, last)[:, np.newaxis]  # [time, rows]
        states = kept(states, positions[0] != 0)
        following = decoder.follow(ids[positions.clip(0, count - 1)], states)
        for step, (logits, states) in enumerate(following, first):
            if step >= 0:
                counted = positions[step - first] < count
                yield ReadStep(positions[step - first][counted], counted, logits, states)
            if progress is not None and step % 64 == 0:
                progress((step + warmup) * count // (length + warmup), count)


def _read(
    decoder: Reader,
    ids: npt.NDArray[np.integer],
    length: int,
    warmup: int,
    progress: ReadProgress | None,
) -> Costs:
    costs = np.zeros(len(ids) - 1)
    for step in steps(decoder, ids[:-1], length, warmup, progress):
        costs[step.places] = nats(step.logits[step.counted], ids[step.places + 1])
    return costs


def nats(logits: npt.NDArray[np.floating], ids: npt.NDArray[np.integer]) -> Costs:
    """Return the cost of each id, `[rows]`, by the logits before it, `[rows, vocabulary]`."""
    shifted = (logits - logits.max(axis=1, keepdims=True)).astype(np.float64)
    chosen = shifted[np.arange(len(ids)), ids]
    costs: Costs = np.log(np.exp(shifted).sum(axis=1)) - chosen
    return costs


@dataclass(frozen=True)
class Passage:
    """A part of a text.

    Args:
        source: Its name.
        text: At least two characters, without skipped ones.
        unknown: Number of skipped characters.
        tokens: `char` or `byte`.
    """

    source: str
    text: str
    unknown: int
    tokens: Literal["char", "byte"]


def choose(
    run: GeneratorRun, text: Corpus | None, *, characters: int | None, unknown: UnknownInText
) -> Passage:
    """Return the part of a text to read.

    Args:
        run: A trained run.
        text: A text; None takes the held-out tail.
        characters: Read the first ones only; None reads all.
        unknown: `error` refuses a text with characters that the run does not know; `skip` leaves
            them out. A run with `<unk>` reads them as that.

    Raises:
        UsageError: The text has unknown characters, less than two, or other tokens; nothing was held
            out; an option is out of bounds.
    """
    check_choice("--unknown", unknown, get_args(UnknownInText))
    if characters is not None:
        check_int("--characters", characters, 2, 10**9)
    tokens, unit = run.record.text.tokens, formatting.unit(run.record.text.tokens)
    if text is not None:
        check_tokens(run, text)
    whole = run.held_out if text is None else text.text
    content, left_out = _known(run.vocabulary, whole[:characters], unknown)
    if len(content) < 2:
        raise UsageError(
            f"A text to inspect needs at least 2 {unit} that the run knows. Received: {len(content)}. "
            "Name another text with --text."
        )
    source = f"the held-out tail of {run.record.text.name}" if text is None else text.name
    if characters is not None and characters < len(whole):
        source = f"the first {characters:,} {unit} of {source}"
    return Passage(source, content, left_out, tokens)


def check_tokens(run: GeneratorRun, text: Corpus) -> None:
    """Raise UsageError where a text has other tokens than a run."""
    tokens = run.record.text.tokens
    if text.tokens != tokens:
        raise UsageError(
            f"{run.name} was trained on {tokens} tokens. Received: a text of {text.tokens} tokens. "
            f"Read it with tokens={tokens!r}."
        )


def _known(vocabulary: Vocabulary, text: str, rule: UnknownInText) -> tuple[str, int]:
    """Return the text without skipped characters, and the number of them."""
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


def read_states(run: GeneratorRun) -> Decoder:
    """Return a run's model, whose units carry a state through the text.

    Raises:
        UsageError: The model reads windows, each from the zero state.
    """
    decoder = run.network()
    if isinstance(decoder, WindowDecoder):
        raise UsageError(
            f"{run.name} reads every window from the zero state: no unit carries a state. Received: "
            "--order windows. Accepted: runs of lanes, lines or shuffled text."
        )
    return decoder


def walk(
    decoder: Reader, ids: npt.NDArray[np.integer], progress: ReadProgress | None = None
) -> Iterator[ReadStep]:
    """Read a text once with the state carried through; arguments as for `steps`.

    One lane reads up to 20,000 characters exactly; longer texts are read in lanes, whose states begin
    with their warm-up.
    """
    _, length, warmup = stream_lanes(len(ids), 1 if len(ids) <= _EXACT else None)
    return steps(decoder, ids, length, warmup, progress)
