"""Simple models to compare a trained one with, estimated on the same training text, in seconds.

Uniform and unigram, an n-gram model (`inference/ngram.py`), and three compressors. Like the trained
model they predict each held-out character but the first.
"""

import bz2
import gzip
import lzma
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lstmega.data.batching import MAX_MEASURED
from lstmega.display import formatting
from lstmega.evaluation import scoring
from lstmega.inference import ngram
from lstmega.inference.mixture import NGramDecoder
from lstmega.runs.record import MOST_LEARNT, Baseline

Ids = npt.NDArray[np.int64]


def measure(
    training: str, held_out: str, *, tokens: str = "char", counted: Baseline | None = None
) -> list[Baseline]:
    """Return the costs of simple models of `training` on `held_out`.

    Args:
        training: The training text; of a long one the last two million characters. Without one there are
            only uniform and compressors.
        held_out: The text to predict; no baselines below two characters.
        counted: An n-gram model that was measured before, of up to eight million characters; None counts
            one.
        tokens: `byte` where a character stands for a byte; otherwise the compressors read UTF-8.
    """
    training, held_out = training[-MOST_LEARNT:], held_out[:MAX_MEASURED]
    if len(held_out) < 2:
        return []
    ids = _ids(training + held_out)
    size, before = int(ids.max()) + 1, len(training)
    found = [Baseline("uniform", math.log2(size))]
    if training:
        parts = ids[:before], ids[before:], size
        found += [_unigram(*parts), counted or _ngram(*parts)]
    codec = ("latin-1", "strict") if tokens == "byte" else ("utf-8", "surrogatepass")
    read = training.encode(*codec), held_out.encode(*codec)
    return found + [
        Baseline(name, 8 * _growth(compress, *read) / len(held_out))
        for name, compress in _COMPRESSORS.items()
    ]


def published(text_sha256: str, held_out_characters: int) -> tuple[Baseline, ...]:
    """Return published results for exactly this text and held-out tail."""
    return _PUBLISHED.get((text_sha256, held_out_characters), ())


def _ids(text: str) -> Ids:
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    ids: Ids = np.unique(points, return_inverse=True)[1].astype(np.int64)
    return ids


def _unigram(training: Ids, held_out: Ids, size: int) -> Baseline:
    counts = np.bincount(training, minlength=size) + 1
    unigram = -np.log2(counts[held_out[1:]] / counts.sum()).mean()
    return Baseline("unigram", float(unigram))


def ngram_row(order: int, nats: float) -> Baseline:
    """Return the n-gram model of an order, with its loss in nats per character."""
    return Baseline(f"{order}-gram (Kneser-Ney)", formatting.bits(nats))


def _ngram(training: Ids, held_out: Ids, size: int) -> Baseline:
    model = ngram.Counts(training, size).model()
    return ngram_row(model.order, float(scoring.stream(NGramDecoder(model), held_out).mean()))


def _growth(compress: Callable[[bytes], bytes], before: bytes, text: bytes) -> int:
    """Return the number of bytes by which a compressed text grows when another is appended.

    A compressor that works in blocks can need fewer bytes for the longer text: that counts as 0.
    """
    return max(0, len(compress(before + text)) - (len(compress(before)) if before else 0))


# nanoGPT's readme, in nats: 64-character windows, and windows of 256.
_TINY_SHAKESPEARE = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
_PUBLISHED = {
    (_TINY_SHAKESPEARE, 111_540): (
        Baseline("nanoGPT's CPU recipe", 1.88 / math.log(2)),
        Baseline("nanoGPT's GPU recipe", 1.4697 / math.log(2)),
    )
}
_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, 9),
    "bzip2": lambda content: bz2.compress(content, 9),
    "xz": lambda content: lzma.compress(content, preset=6),
}
