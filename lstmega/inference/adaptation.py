"""Adaptation to a text while it is read: a cache of the text so far, and a correction of the logits.

Both learn from each character after it was predicted (dynamic evaluation: Mikolov et al. 2010; Krause et
al. 2018, arXiv:1709.07432). The correction is a linear layer over the hidden state: it is added to the
logits, and learns by Adagrad (Duchi et al. 2011). The cache (Kuhn and De Mori 1990) counts characters
behind the last 4, 6 and 8. Its counts are those of Kneser-Ney smoothing, interpolated with the
prediction as in a hierarchical Pitman-Yor model (Teh 2006); prediction and interpolation are mixed
log-linearly.

What was learnt is a value: learning returns a new one, and the one before stays valid.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from lstmega.config.presets import ADAPTATION_RATE
from lstmega.inference.decoder import AdaptableStepper, Array, Ids, States, log_softmax

Exact = npt.NDArray[np.float64]

SEGMENT = 8  # characters that are predicted before the correction learns from them
_BLOCK = 512 * SEGMENT  # characters whose predictions and hidden states are kept at once
DECAY = 2e-4  # of the correction, at each segment
START = 30.0  # sum of squared gradients before any text
# Length of a counted context -> characters that the prediction from the shorter one is worth.
LENGTHS = {4: 20.0, 6: 8.0, 8: 4.0}
LONGEST = max(LENGTHS)
DISCOUNT = 0.8  # of each count, for what did not follow yet
SHARE = 0.7  # exponent of the interpolation with the cache; the prediction alone has the rest
MOST = 200_000  # characters of the text that are counted, at most; then the older half is forgotten
GAP = "\0"  # stands for a passage that was read and not learnt; no id is written like this


class Cache:
    """Counts of the characters that followed the last ones in a text.

    A character counts for a shorter context only where it is new in the longer one, as in Kneser-Ney
    smoothing. All counts can be taken back from the end: going to another text costs as much as the two
    differ.
    """

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}  # context -> next character -> count
        self._text, self._end = "", 0  # what is counted is the text up to this end

    def go_to(self, text: str, end: int) -> None:
        """Count `text[:end]` and nothing else."""
        same = end
        if text is not self._text:
            same = min(end, _shared(text, self._text))
        while self._end > same:
            self._remove()
        self._text = text
        while self._end < end:
            self._add()

    def after(self, context: str) -> tuple[dict[str, float], float]:
        """Return the share of each character seen after a context, and that of the prediction."""
        shares: dict[str, float] = {}
        rest = 1.0
        for length, strength in LENGTHS.items():
            counts = self._counts.get(context[-length:])
            if counts is None or len(context) < length:
                break
            total = strength + sum(counts.values())
            kept = (strength + DISCOUNT * len(counts)) / total
            shares = {character: kept * share for character, share in shares.items()}
            for character, count in counts.items():
                shares[character] = shares.get(character, 0.0) + (count - DISCOUNT) / total
            rest *= kept
        return shares, rest

    def _contexts(self) -> list[str]:
        """Return the contexts of the last character that is counted, longest first."""
        last = self._end - 1
        return [self._text[last - length : last] for length in reversed(LENGTHS) if length <= last]

    def _add(self) -> None:
        character = self._text[self._end]
        self._end += 1
        if character == GAP:
            return
        for context in self._contexts():
            counts = self._counts.setdefault(context, {})
            counts[character] = counts.get(character, 0) + 1
            if counts[character] > 1:
                return

    def _remove(self) -> None:
        character = self._text[self._end - 1]
        for context in self._contexts() if character != GAP else ():
            counts = self._counts[context]
            counts[character] -= 1
            if counts[character]:
                break
            del counts[character]
            if not counts:
                del self._counts[context]
        self._end -= 1


@dataclass(frozen=True, eq=False)
class Adaptation:
    """The state of the adaptation after a text; immutable.

    Args:
        rate: The learning rate of the correction.
        text: The text that was read, as `as_text` returns it; of a long one the end.
        kernel: The correction of the logits, `[vocabulary, units]`; None before any text.
        squares: Sums of its squared gradients, `[vocabulary, units]`.
        cache: Counts that all adaptations of one reader share, and move to their own text.
    """

    rate: float = ADAPTATION_RATE
    text: str = ""
    kernel: Array | None = None
    squares: Array | None = None
    cache: Cache = field(default_factory=Cache)

    def learn(self, ids: Ids, logits: Array, features: Array) -> tuple[Exact, "Adaptation"]:
        """Predict a text, and learn from it.

        Args:
            ids: The text, `[time]`.
            logits: The prediction of each by the model without adaptation, `[time, vocabulary]`.
            features: The hidden states before each, `[time, units]`.

        Returns:
            The cost of each id before it was learnt, `[time]` in nats, and what is learnt now.
        """
        shape = logits.shape[1], features.shape[1]
        kernel = np.zeros(shape, np.float32) if self.kernel is None else self.kernel.copy()
        squares = np.full(shape, START, np.float32) if self.squares is None else self.squares.copy()
        before = self.text if len(self.text) < MOST else self.text[-MOST // 2 :]
        after = replace(self, text=before + as_text(ids), kernel=kernel, squares=squares)
        costs = np.empty(len(ids))
        for start in range(0, len(ids), SEGMENT):
            part = slice(start, start + SEGMENT)
            costs[part], errors = after._predict(
                ids[part], logits[part], features[part], len(before) + start
            )
            gradient = errors.T @ features[part]  # [vocabulary, units]
            squares += gradient * gradient
            kernel *= 1 - DECAY
            kernel -= self.rate * gradient / np.sqrt(squares)
        return costs, after

    def logits(self, logits: Array, features: Array, contexts: Ids) -> Array:
        """Return the adapted logits, `[rows, vocabulary]`.

        Args:
            logits: Those of the model without adaptation, `[rows, vocabulary]`.
            features: The hidden state, `[rows, units]`.
            contexts: The last ids of each row plus one, 0 where there is none, `[LONGEST, rows]`.
        """
        self.cache.go_to(self.text, len(self.text))
        found = self._corrected(logits, features)
        for row, context in zip(found, contexts.T, strict=True):
            self._mix(row, "".join(map(chr, context[context > 0].tolist())))
        return found.astype(np.float32)

    def _predict(self, ids: Ids, logits: Array, features: Array, first: int) -> tuple[Exact, Array]:
        """Return the cost of each id behind `first` characters of the text, and the errors.

        The correction learns from the errors, `[time, vocabulary]`; they are those without the cache.
        """
        rows, found = np.arange(len(ids)), self._corrected(logits, features)
        errors = np.exp(found)
        errors[rows, ids] -= 1
        for row, end in zip(found, range(first, first + len(ids)), strict=True):
            self.cache.go_to(self.text, end)
            self._mix(row, self.text[max(0, end - LONGEST) : end])
        return -log_softmax(found)[rows, ids], errors.astype(np.float32)

    def _corrected(self, logits: Array, features: Array) -> Exact:
        """Return logarithms of probabilities with the correction, `[rows, vocabulary]`."""
        return log_softmax(logits if self.kernel is None else logits + features @ self.kernel.T)

    def _mix(self, logarithms: Exact, context: str) -> None:
        """Add the cache to the logarithms of one row, `[vocabulary]`."""
        shares, rest = self.cache.after(context)
        if shares:
            seen = [ord(character) - 1 for character in shares]
            ratios = np.log(np.array([*shares.values()]) / rest)
            logarithms[seen] += SHARE * np.logaddexp(0, ratios - logarithms[seen])


def _shared(one: str, other: str) -> int:
    """Return the length of the beginning that two texts share."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def as_text(ids: Ids) -> str:
    """Return ids as characters: id plus one, because 0 stands for no id."""
    return "".join(map(chr, (ids + 1).tolist()))


def _contexts(ids: Ids, states: States) -> Ids:
    """Return each context in an `AdaptiveDecoder`'s states, then a text, `[time, rows]`."""
    before: Ids = states[-1][0]
    new = np.repeat(ids[-LONGEST:, np.newaxis] + 1, before.shape[1], axis=1)
    return np.concatenate([before, new])


class AdaptiveDecoder:
    """A decoder that has adapted to a text, with the interface of `Decoder`.

    `step` and `read` learn nothing; `learn` and `skip` return another decoder. The states are those of
    the model, then the last ids plus one, 0 where there is none, `[LONGEST, rows]`.

    Args:
        decoder: The model.
        adaptation: What was learnt; None is nothing.
        last: The model's own logits of the next id, `[1, vocabulary]`; None before any text.
    """

    def __init__(
        self,
        decoder: AdaptableStepper,
        adaptation: Adaptation | None = None,
        last: Array | None = None,
    ) -> None:
        self._decoder, self._last = decoder, last
        self.adaptation = adaptation or Adaptation()

    def zero_states(self, rows: int) -> States:
        """Return the states before any text."""
        return (*self._decoder.zero_states(rows), (np.zeros((LONGEST, rows), np.int64),))

    def step(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read one id per row, `[rows]`; return the logits `[rows, vocabulary]` and new states."""
        logits, inner = self._decoder.step(ids, states[:-1])
        return self._adapted(logits, inner, np.concatenate([states[-1][0], ids[np.newaxis] + 1]))

    def read(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read a prompt, `ids [time]`, into every row; return as `step`."""
        logits, inner = self._decoder.read(ids, states[:-1])
        return self._adapted(logits, inner, _contexts(ids, states))

    def learn(self, ids: Ids, states: States) -> tuple["AdaptiveDecoder", Array, States]:
        """Read and learn a text; return the decoder that has learnt it, its logits and new states.

        Args:
            ids: The text, `[time]`, at least one.
            states: Of one row, after the text that this decoder has learnt.
        """
        inner, adaptation, last, rest = states[:-1], self.adaptation, self._last, ids
        if last is None:  # nothing predicts the first
            adaptation, rest = replace(adaptation, text=as_text(ids[:1])), ids[1:]
            last, inner = self._decoder.step(ids[:1], inner)
        for start in range(0, len(rest), _BLOCK):
            part, logits, features = rest[start : start + _BLOCK], [], []
            for identity in part:
                logits.append(last)  # before the id
                features.append(self._decoder.features(inner).T)
                last, inner = self._decoder.step(np.array([identity]), inner)
            read = np.concatenate(logits), np.concatenate(features)
            _, adaptation = adaptation.learn(part, *read)
        learnt = AdaptiveDecoder(self._decoder, adaptation, last)
        return (learnt, *learnt._adapted(last, inner, _contexts(ids, states)))

    def skip(self, ids: Ids, states: States) -> tuple["AdaptiveDecoder", Array, States]:
        """Read a text without learning it; arguments and results as for `learn`."""
        logits, inner = self._decoder.read(ids, states[:-1])
        adaptation = replace(self.adaptation, text=self.adaptation.text + GAP)
        after = AdaptiveDecoder(self._decoder, adaptation, logits)
        return (after, *after._adapted(logits, inner, _contexts(ids, states)))

    def _adapted(self, logits: Array, inner: States, contexts: Ids) -> tuple[Array, States]:
        contexts = contexts[-LONGEST:]
        features = self._decoder.features(inner).T  # [rows, units]
        return self.adaptation.logits(logits, features, contexts), (*inner, (contexts,))
