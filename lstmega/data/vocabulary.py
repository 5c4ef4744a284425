"""Vocabularies: tokens and their ids, immutable, hashed, saved with the run.

`Vocabulary` has two kinds: `char` (the distinct code points of the whole text, sorted) and `byte` (the
distinct bytes, each as the code point of the same number, so that both kinds share all code).
`WordVocabulary` has the words of labelled texts.
"""

import codecs
import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from lstmega.errors import PromptError, UsageError

Kind = Literal["char", "byte"]
UnknownPolicy = Literal["error", "skip", "fold"]
Ids = npt.NDArray[np.int32]
NarrowIds = npt.NDArray[np.integer]  # of the narrowest type that TensorFlow gathers from

MAX_SIZE = 1_200_000  # above the number of Unicode code points
UNKNOWN = "<unk>"
_CHUNK = 1 << 20  # characters encoded at a time: they take about 30 bytes each meanwhile
_LISTED = 10  # unknown characters that an error lists
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_LONGEST = 100  # characters of a word in a vocabulary


@dataclass(frozen=True)
class Vocabulary:
    """Characters <-> ids; the id is the position in the sorted tuple.

    Args:
        characters: Distinct code points, sorted.
        kind: Whether a code point stands for a character or a byte.
        has_unknown: Whether one more id, the last, stands for every other character (`<unk>`).
    """

    TOKEN_BYTES: ClassVar[int] = len("1114111, ")  # of an entry in vocabulary.json, at most
    characters: str
    kind: Kind = "char"
    has_unknown: bool = False

    def __post_init__(self) -> None:
        points = [ord(character) for character in self.characters]
        if not points or any(a >= b for a, b in pairwise(points)):
            raise UsageError("A vocabulary needs distinct characters in sorted order, at least one.")
        if self.kind not in get_args(Kind):
            raise UsageError(f"A vocabulary's kind must be char or byte. Received: {self.kind!r}.")
        if self.kind == "byte" and points[-1] > 255:
            raise UsageError(f"Bytes must be from 0 to 255. Received: {points[-1]}.")

    @classmethod
    def of(cls, text: str, *, kind: Kind = "char", max_size: int | None = None) -> "Vocabulary":
        """Collect the characters of `text`.

        Args:
            text: At least one character; for `byte`, the bytes decoded as Latin-1.
            kind: Whether a code point stands for a character or a byte.
            max_size: Keep the most frequent characters only, this many with `<unk>`.

        Raises:
            UsageError: The text is empty, or `max_size` is below 2.
        """
        if not text:
            raise UsageError("A vocabulary needs a text of at least one character. Received: none.")
        characters = set(text)
        if max_size is None or len(characters) <= max_size:
            return cls("".join(sorted(characters)), kind)
        if max_size < 2:
            raise UsageError(f"--max-vocabulary must be at least 2. Received: {max_size}.")
        # Ties go to the lower code point, so that the same text always gives the same vocabulary.
        ranked = sorted(Counter(text).items(), key=lambda item: (-item[1], item[0]))
        kept = sorted(character for character, _ in ranked[: max_size - 1])
        return cls("".join(kept), kind, has_unknown=True)

    def __len__(self) -> int:
        return len(self.characters) + self.has_unknown

    def merged(self, other: "Vocabulary") -> "Vocabulary":
        """Return the vocabulary of both; `<unk>` is there where either has it.

        Raises:
            UsageError: One is of characters, the other of bytes.
        """
        if self.kind != other.kind:
            raise UsageError(f"--tokens must be {self.kind}, as before. Received: {other.kind}.")
        characters = "".join(sorted({*self.characters, *other.characters}))
        return Vocabulary(characters, self.kind, self.has_unknown or other.has_unknown)

    @property
    def unknown_id(self) -> int | None:
        """The id of `<unk>`, where there is one."""
        return len(self.characters) if self.has_unknown else None

    @cached_property
    def _points(self) -> npt.NDArray[np.uint32]:
        return code_points(self.characters)

    @cached_property
    def sha256(self) -> str:
        """The sha256 of the JSON object, as 64 hexadecimal digits."""
        return _sha256(self.to_json())

    def encode(self, text: str) -> Ids:
        """Return the ids of `text`, `[len(text)]`; unknown characters become `<unk>` where there is one.

        Raises:
            PromptError: A character is unknown and there is no `<unk>`.
        """
        ids: Ids = self._encode(text, len(text), np.dtype(np.int32))
        return ids

    def encode_narrow(self, text: str, end: int | None = None) -> NarrowIds:
        """Return the ids of `text[:end]` in one or two bytes each where they fit, without a copy of it.

        Raises:
            PromptError: As for `encode`.
        """
        largest = len(self) - 1
        kind = np.min_scalar_type(largest) if largest <= np.iinfo(np.uint16).max else np.int32
        return self._encode(text, len(text) if end is None else end, np.dtype(kind))

    def _encode(self, text: str, end: int, kind: np.dtype[Any]) -> npt.NDArray[Any]:
        ids = np.empty(end, kind)
        for start in range(0, end, _CHUNK):
            piece = text[start : min(start + _CHUNK, end)]
            found, known = self._find(piece)
            if self.has_unknown:
                found[~known] = len(self.characters)
            elif not known.all():
                raise PromptError(self._unknown_message(text))
            ids[start : start + len(piece)] = found
        return ids

    def known(self, text: str) -> npt.NDArray[np.bool_]:
        """Return which characters of `text` have an id of their own, `[len(text)]`."""
        pieces = (text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK))
        return np.concatenate([np.empty(0, np.bool_), *(self._find(piece)[1] for piece in pieces)])

    def _find(self, piece: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the nearest id of each character, and whether it is its own."""
        points = code_points(piece)
        found = np.searchsorted(self._points, points).clip(max=len(self._points) - 1)
        return found, self._points[found] == points

    def encode_prompt(self, prompt: str, *, unknown: UnknownPolicy = "error") -> Ids:
        """Return the ids of a prompt.

        Args:
            prompt: A text; encoded as UTF-8 first where the tokens are bytes.
            unknown: Treatment of unknown characters: `error` refuses them, `skip` drops them, `fold`
                tries the other case and the form without accents, then `<unk>` where there is one, and
                drops the rest.

        Raises:
            PromptError: A character is unknown, under `error`.
        """
        text = self.from_user(prompt)
        # By the user's characters, not by bytes: half a UTF-8 sequence means nothing.
        characters = prompt if self.kind == "byte" else text
        if unknown == "fold":
            text = "".join(self._fold(character) for character in characters)
        elif unknown == "skip":
            text = "".join(self.from_user(c) for c in characters if self._knows(self.from_user(c)))
        elif self.unknown(text):
            raise PromptError(self._unknown_message(text))
        return self.encode(text)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the code points of `ids`; `<unk>` is U+FFFD."""
        table = self.characters + "\N{REPLACEMENT CHARACTER}" * self.has_unknown
        return "".join(table[int(number)] for number in ids)

    def from_user(self, text: str) -> str:
        """Return a user's text in this vocabulary's code points.

        Bytes are those of its UTF-8; characters have LF for CRLF and CR, unless the vocabulary has CR.
        """
        if self.kind == "byte":
            return text.encode(errors="surrogatepass").decode("latin-1")
        return text if "\r" in self else text.replace("\r\n", "\n").replace("\r", "\n")

    def incremental_decoder(self) -> "IncrementalDecoder":
        """Return a decoder of ids that come one at a time."""
        return IncrementalDecoder(self)

    def unknown(self, text: str) -> list[str]:
        """Return the distinct characters of `text` without an id of their own, first seen first."""
        return [character for character in dict.fromkeys(text) if character not in self]

    def __contains__(self, character: str) -> bool:
        return character in self._members

    @cached_property
    def _members(self) -> frozenset[str]:
        return frozenset(self.characters)

    def _fold(self, character: str) -> str:
        plain = "".join(
            c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)
        )
        for candidate in (character, character.swapcase(), plain, plain.swapcase()):
            if self._knows(tokens := self.from_user(candidate)):
                return tokens
        return self.from_user(character) if self.has_unknown else ""

    def _knows(self, tokens: str) -> bool:
        return tokens != "" and all(token in self for token in tokens)

    def _unknown_message(self, text: str) -> str:
        unknown = self.unknown(text)
        name = "byte 0x{0:02X}" if self.kind == "byte" else "{1!r} (U+{0:04X})"
        listed = ", ".join(name.format(ord(c), c) for c in unknown[:_LISTED])
        more = f" and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else ""
        return (
            f"The text has characters that are not in the vocabulary. Received: {listed}{more}. "
            f"The vocabulary has {len(self)}: {self.summary()}. "
            "Try --unknown skip (drop them) or --unknown fold (nearest known form)."
        )

    def summary(self) -> str:
        """Return the printable characters, shortened, for a message."""
        shown = "".join(c for c in self.characters if c.isprintable() and not c.isspace())
        return shown if len(shown) <= 100 else shown[:100] + "..."

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `vocabulary.json`; code points as numbers, not escapes."""
        return {
            "kind": self.kind,
            "has_unknown": self.has_unknown,
            "code_points": [ord(character) for character in self.characters],
        }

    @classmethod
    def from_json(cls, content: Any) -> "Vocabulary":
        """Make a vocabulary from the JSON object of a file, checking everything.

        Raises:
            UsageError: Keys, types, sizes or order are wrong.
        """
        if not isinstance(content, Mapping) or content.keys() != {"kind", "has_unknown", "code_points"}:
            raise UsageError("A vocabulary must have the keys kind, has_unknown and code_points.")
        points = content["code_points"]
        if not isinstance(points, list) or not 0 < len(points) <= MAX_SIZE:
            raise UsageError(f"A vocabulary must list from 1 to {MAX_SIZE} code points.")
        if not all(type(point) is int and 0 <= point <= 0x10FFFF for point in points):
            raise UsageError("A vocabulary's code points must be whole numbers from 0 to 1114111.")
        if type(content["has_unknown"]) is not bool or not isinstance(content["kind"], str):
            raise UsageError("A vocabulary's kind must be text, and has_unknown true or false.")
        return cls("".join(map(chr, points)), content["kind"], content["has_unknown"])  # type: ignore[arg-type]


class IncrementalDecoder:
    """Decoder of ids that come one at a time; bytes wait until their UTF-8 sequence is complete."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def __call__(self, identity: int) -> str:
        """Return the text that `identity` completes, possibly none."""
        character = self._vocabulary.decode([identity])
        if self._vocabulary.kind == "char":
            return character
        # 0xFF is in no UTF-8 text: `<unk>` shows as U+FFFD here too.
        return self._bytes.decode(character.encode("latin-1") if character <= "\xff" else b"\xff")

    def finish(self) -> str:
        """Return U+FFFD for an incomplete UTF-8 sequence at the end, or nothing."""
        return self._bytes.decode(b"", final=True)


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """Return the code points of a text, lone surrogates included, `[len(text)]`."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def tokenize(text: str) -> list[str]:
    """Return the words of a text in lower case; any other character but white space is a word too."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class WordVocabulary:
    """Words <-> ids; the id is the position, and the last id stands for all other words.

    Args:
        words: Distinct, the most frequent first.
    """

    TOKEN_BYTES: ClassVar[int] = 12 * _LONGEST + len('"", ')  # of an entry in vocabulary.json, at most
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
            texts: At least one has a word.
            max_size: Keep the most frequent words only, this many with the unknown word.
            least: Leave out words that occur less often, unless all do.
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
        """The sha256 of the JSON object, as 64 hexadecimal digits."""
        return _sha256(self.to_json())

    def encode(self, text: str) -> Ids:
        """Return the ids of a text's words, `[words]`; a text without any is one unknown word."""
        ids = [self._ids.get(word, self.unknown_id) for word in tokenize(text)]
        return np.array(ids or [self.unknown_id], np.int32)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of `vocabulary.json`."""
        return {"kind": "word", "words": list(self.words)}

    @classmethod
    def from_json(cls, content: Any) -> "WordVocabulary":
        """Make a vocabulary from the JSON object of a file, checking everything.

        Raises:
            UsageError: Keys, types or sizes are wrong.
        """
        if not isinstance(content, Mapping) or content.keys() != {"kind", "words"}:
            raise UsageError("A vocabulary of words must have the keys kind and words.")
        words = content["words"]
        if not isinstance(words, list) or not 0 < len(words) <= MAX_SIZE:
            raise UsageError(f"A vocabulary must list from 1 to {MAX_SIZE} words.")
        if not all(isinstance(word, str) and 0 < len(word) <= _LONGEST for word in words):
            raise UsageError(f"A vocabulary's words must have from 1 to {_LONGEST} characters.")
        return cls(tuple(words))


AnyVocabulary = Vocabulary | WordVocabulary
