"""Several runs side by side, each measured on its held-out text by both protocols."""

from collections.abc import Iterable, Sequence
from typing import Any, overload

from lstmega.display import formatting as display
from lstmega.display import html
from lstmega.display.result import Result
from lstmega.evaluation import generator as evaluation
from lstmega.evaluation.scoring import ReadProgress
from lstmega.runs.run import GeneratorRun

_HEADS = {
    "run": "run",
    "text": "text",
    "parameters": "parameters",
    "stream_bits": "stream bits",
    "window_bits": "window bits",
    "characters_per_second": "characters/s",
    "minutes": "minutes",
}


class Comparison(Result, Sequence[dict[str, Any]]):
    """The rows of `compare`, in the order of the runs; its table has the best run first.

    Args:
        rows: Results of `measured`, one for each run.
    """

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self._rows = list(rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the JSON list of `compare --json`."""
        return list(self._rows)

    rows = to_dicts

    def table(self) -> list[list[str]]:
        """Return rows of cells, best run first, under a head."""
        ranked = sorted(self._rows, key=lambda row: row["stream_bits"])
        return [[*_HEADS.values()], *([display.number(row[name]) for name in _HEADS] for row in ranked)]

    @property
    def remark(self) -> str:
        if len({row["held_out_sha256"] for row in self._rows}) > 1:
            return "The held-out texts differ, so the losses do not compare."
        return ""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html.table(self.table(), self.remark or "Runs, best first")


def measured(run: GeneratorRun, progress: ReadProgress) -> dict[str, Any]:
    """Measure a run by both protocols, and return the losses with its size, speed and training time."""
    stream = evaluation.measure(run, progress=progress)
    window = evaluation.measure(run, protocol="window", progress=progress)
    record, history = run.record, run.history()
    return {
        "run": run.name,
        "text": record.text.name,
        "held_out_sha256": record.held_out_sha256,
        "parameters": record.parameters,
        "stream_bits": stream.bits_per_character,
        "window_bits": window.bits_per_character,
        "characters_per_second": history[-1].characters_per_second if history else None,
        "minutes": round(record.seconds / 60, 2),
    }
