"""Texts that a run wrote: what `sample` and `stream` return, and how they show themselves."""

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
    """One text that a run wrote.

    Args:
        run: The run's name.
        temperature: What the logits were divided by.
        seed: Of the whole call.
        prompt: What came before, as a reader sees it.
        text: What the run wrote, without the prompt.
        prompt_is_excerpt: Whether the prompt was taken from the held-out text.
        nats: What each token cost the model, where that was asked for; of its own distribution, before
            temperature and rules.
    """

    run: str
    temperature: float
    seed: int
    prompt: str
    text: str
    prompt_is_excerpt: bool = False
    nats: npt.NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `sample --json`."""
        return {
            "run": self.run,
            "temperature": self.temperature,
            "seed": self.seed,
            "prompt": self.prompt,
            "text": self.text,
        }

    @property
    def heading(self) -> str:
        """One line that says where the text is from."""
        source = ", prompt from the held-out text" if self.prompt_is_excerpt else ""
        return f"{self.run}: temperature {self.temperature:g}, seed {self.seed}{source}"

    def __str__(self) -> str:
        return f"{self.heading}\n{plain(self.prompt + self.text)}"


class Samples(Sequence[Sample]):
    """The result of `sample`: a sequence that shows itself in a terminal and a notebook."""

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
        return exports.dataframe(self.to_dicts())

    def __str__(self) -> str:
        return "\n\n".join(map(str, self))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        groups = groupby(self, key=lambda sample: sample.temperature)
        return html.render("samples.html", groups=[list(group) for _, group in groups])


class Stream(Iterator[str]):
    """Pieces of text as they come, with what they started from.

    Args:
        pieces: The text, usually a character at a time.
        start: Seed, temperature and prompt of the text; its own text is empty.
    """

    def __init__(self, pieces: Iterator[str], start: Sample) -> None:
        self._pieces = pieces
        self.start = start

    def __next__(self) -> str:
        return next(self._pieces)
