"""Dynamic evaluation: a reader that adapts to the text that it is measured on (`inference.adaptation`).

Each character is charged before anything learns from it. The network itself does not change, so its
hidden states are computed beforehand, in lanes side by side.
"""

import numpy as np
import numpy.typing as npt

from lstmega.config.base import check_float, usage_error
from lstmega.data.batching import WARMUP, stream_lanes
from lstmega.evaluation import scoring
from lstmega.evaluation.scoring import Costs, ReadProgress
from lstmega.inference.adaptation import SEGMENT, Adaptation, as_text
from lstmega.inference.decoder import AdaptableStepper, Array

_NUMBERS = 16_000_000  # of predictions and hidden states that are computed at once, about

Ids = npt.NDArray[np.integer]


def check_rate(rate: object) -> float:
    """Return a learning rate; UsageError where it is not above 0, or above 10."""
    checked = check_float("--dynamic", rate, 0, 10)
    if checked == 0:
        raise usage_error("--dynamic", "above 0", rate)
    return checked


def stream(
    decoder: AdaptableStepper,
    ids: Ids,
    *,
    rate: float,
    size: int,
    progress: ReadProgress | None = None,
) -> Costs:
    """Return the cost of each id but the first, `[characters - 1]` in nats, for a reader that adapts.

    Args:
        decoder: The model that it begins with.
        ids: The text, `[characters]`, at least two.
        rate: The learning rate of the correction.
        size: Number of ids.
        progress: Called with the characters read so far and in total.
    """
    count = len(ids) - 1
    units = len(decoder.features(decoder.zero_states(1)))
    block = max(1, _NUMBERS // ((size + units) * SEGMENT)) * SEGMENT
    adaptation, costs = Adaptation(rate, as_text(ids[:1])), np.empty(count)
    for start in range(0, count, block):
        end = min(start + block, count)
        logits, features = _read(decoder, ids[:end], start, (size, units))
        costs[start:end], adaptation = adaptation.learn(ids[start + 1 : end + 1], logits, features)
        if progress is not None:
            progress(end, count)
    return costs


def _read(
    decoder: AdaptableStepper, ids: Ids, start: int, sizes: tuple[int, int]
) -> tuple[Array, Array]:
    """Return logits `[time, vocabulary]` and hidden states `[time, units]` after ids from `start`."""
    before = max(0, start - WARMUP)
    piece = ids[before:]
    logits, features = (np.empty((len(piece), size), np.float32) for size in sizes)
    _, length, warmup = stream_lanes(len(piece))
    for step in scoring.steps(decoder, piece, length, warmup):
        logits[step.places] = step.logits[step.counted]
        features[step.places] = decoder.features(step.states).T[step.counted]
    return logits[start - before :], features[start - before :]
