"""The words of labelled texts and their ids: immutable, hashed, saved with the run."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lstmega.data.vocabulary import MAX_SIZE, Ids
from lstmega.errors import UsageError

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_LONGEST = 100  # characters of a word in a vocabulary: what is longer is no word


def tokenize(text: str) -> list[str]:
    """Return the words of a text in lower case; every other sign is a word of its own."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class WordVocabulary:
    """Words <-> ids; the id is the position, the last one stands for all other words.

    Args:
        words: Distinct, the most frequent first.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.words or len(set(self.words)) != len(self.words):
            raise UsageError("A vocabulary needs distinct words, at least one.")

    @classmethod
    def of(
        cls, texts: Iterable[str], *, max_size: int | None = None, least: int = 2
    ) -> "WordVocabulary":
        """Collect the words of texts.

        Args:
            texts: At least one with a word.
            max_size: Keep the most frequent words only, so many with the unknown one.
            least: Leave out words that are rarer; where all are, none is left out.
        """
        counts = Counter(word for text in texts for word in tokenize(text) if len(word) <= _LONGEST)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        known = [word for word, count in ranked if count >= least] or [word for word, _ in ranked]
        return cls(tuple(known[: None if max_size is None else max_size - 1]))

    def __len__(self) -> int:
        return len(self.words) + 1

    @property
    def unknown_id(self) -> int:
        """The id of every word that is not in `words`."""
        return len(self.words)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def sha256(self) -> str:
        """The hash of what `to_json` writes, as 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def encode(self, text: str) -> Ids:
        """Return the ids of a text's words, `[words]`; a text without any is one unknown word."""
        ids = [self._ids.get(word, self.unknown_id) for word in tokenize(text)]
        return np.array(ids or [self.unknown_id], np.int32)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `vocabulary.json`."""
        return {"kind": "word", "words": list(self.words)}

    @classmethod
    def from_json(cls, content: Any) -> "WordVocabulary":
        """Make a vocabulary from `to_json`'s object, trusting nothing.

        Raises:
            UsageError: Keys, types or sizes are not as `to_json` writes them.
        """
        if not isinstance(content, Mapping) or content.keys() != {"kind", "words"}:
            raise UsageError("A vocabulary of words must have the keys kind and words.")
        words = content["words"]
        if not isinstance(words, list) or not 0 < len(words) <= MAX_SIZE:
            raise UsageError(f"A vocabulary must list from 1 to {MAX_SIZE} words.")
        if not all(isinstance(word, str) and 0 < len(word) <= _LONGEST for word in words):
            raise UsageError(f"A vocabulary's words must have from 1 to {_LONGEST} characters.")
        return cls(tuple(words))
