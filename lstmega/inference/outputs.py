"""Generated texts: the results of `sample` and `stream`, and their display."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from lstmega.display import export as exports
from lstmega.display import html
from lstmega.display.formatting import plain


@dataclass(frozen=True)
class Sample:
    """One generated text.

    Args:
        run: The run's name.
        temperature: The temperature of its tokens.
        seed: Of the whole call.
        prompt: The text before it.
        text: The generated text, without the prompt.
        prompt_is_excerpt: Whether the prompt was taken from the held-out text.
        nats: The cost of each token, `[tokens]`, in the model's distribution before temperature and
            constraints; None where it was not asked for.
        ngram_share: The n-gram model's share of both exponents for each token, from 0 to 1, `[tokens]`;
            None where the run wrote with one model.
    """

    run: str
    temperature: float
    seed: int
    prompt: str
    text: str
    prompt_is_excerpt: bool = False
    nats: npt.NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    ngram_share: npt.NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `sample --json`."""
        shares = None if self.ngram_share is None else self.ngram_share.round(3).tolist()
        return self.origin() | {"ngram_share": shares}

    def origin(self) -> dict[str, Any]:
        """Return the text and where it came from, without a number for each token."""
        return {name: getattr(self, name) for name in ("run", "temperature", "seed", "prompt", "text")}

    @property
    def heading(self) -> str:
        """The origin of the text in one line."""
        source = ", prompt from the held-out text" if self.prompt_is_excerpt else ""
        return f"{self.run}: temperature {self.temperature:g}, seed {self.seed}{source}"

    def __str__(self) -> str:
        return plain(f"{self.heading}\n{self.prompt}{self.text}")


class Samples(Sequence[Sample]):
    """The result of `sample`: a sequence that displays itself in a terminal and a notebook."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = tuple(samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Samples": ...
    def __getitem__(self, index: int | slice) -> "Sample | Samples":
        found = self._samples[index]
        return Samples(found) if isinstance(found, tuple) else found

    def __len__(self) -> int:
        return len(self._samples)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the JSON list of `sample --json`."""
        return [sample.to_dict() for sample in self]

    def to_dataframe(self) -> Any:
        """Return one row for each text as a pandas DataFrame.

        Raises:
            UsageError: pandas is not installed.
        """
        return exports.dataframe([sample.origin() for sample in self])

    def __str__(self) -> str:
        return "\n\n".join(map(str, self))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        groups = groupby(self, key=lambda sample: sample.temperature)
        return html.render("samples.html", groups=[list(group) for _, group in groups])


class Stream(Iterator[str]):
    """Pieces of one text; `start` has its seed, temperature and prompt, and an empty text."""

    def __init__(self, pieces: Iterator[str], start: Sample) -> None:
        self._pieces, self.start = pieces, start

    def __next__(self) -> str:
        return next(self._pieces)
