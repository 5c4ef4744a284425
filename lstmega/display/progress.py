"""How a long work shows itself: a live display on a terminal, plain lines elsewhere.

The library calls the methods of `Progress` and prints nothing; whoever starts the work chooses the
stream. A redirected log gets whole lines without control characters.
"""

import time
from contextlib import suppress
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn
from rich.progress import Progress as Bar

from lstmega.display import formatting as display
from lstmega.display.history import HistoryRow

_PLAIN_INTERVAL = 20.0  # seconds between lines of a log
_PREVIEW_WIDTH = 100


class Progress:
    """Hears what a training does; this one says nothing. As a context it ends with its block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def note(self, line: str) -> None:
        """Hear a sentence for the user."""

    def begin(self, total_steps: int, epochs: int, tokens: str = "char") -> None:
        """Hear that steps begin; `tokens` says what losses are per: `char`, `byte` or `example`."""

    def step(self, step: int, epoch: int, nats: float, speed: float, remaining: float) -> None:
        """Hear of one step: steps done, epoch from 1, smoothed loss, characters/s, seconds left."""

    def validated(self, row: HistoryRow, previews: list[tuple[str, str]]) -> None:
        """Hear of a validation and of what the model did: (label, text) pairs, such as temperatures."""

    def download(self, done: int, total: int | None) -> None:
        """Hear of a download: bytes here and in all."""

    def reading(self, done: int, total: int) -> None:
        """Hear of a text that is measured: characters read and in all."""

    def end(self) -> None:
        """Hear that the work is over, well or not."""


class Lines(Progress):
    """Whole lines on a stream that is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = 0.0
        self._total = self._epochs = 0
        self._tokens = "char"

    def note(self, line: str) -> None:
        print(display.plain(line), file=self._stream, flush=True)

    def begin(self, total_steps: int, epochs: int, tokens: str = "char") -> None:
        self._total, self._epochs, self._tokens = total_steps, epochs, tokens
        self._last = time.monotonic()

    def step(self, step: int, epoch: int, nats: float, speed: float, remaining: float) -> None:
        if time.monotonic() - self._last < _PLAIN_INTERVAL:
            return
        self._last = time.monotonic()
        self.note(
            f"epoch {epoch}/{self._epochs}  step {step:,}/{self._total:,}  "
            f"{display.loss(nats, self._tokens)}  "
            f"{speed:,.0f} {display.unit(self._tokens)}/s  {display.duration(remaining)} left"
        )

    def validated(self, row: HistoryRow, previews: list[tuple[str, str]]) -> None:
        self._last = time.monotonic()
        for line in _validation_lines(row, previews, self._tokens):
            self.note(line)

    def reading(self, done: int, total: int) -> None:
        self._last = self._last or time.monotonic()
        if time.monotonic() - self._last >= _PLAIN_INTERVAL:
            self._last = time.monotonic()
            self.note(f"read {done:,} of {total:,}")


class Live(Progress):
    """A bar and scrolling results on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Bar | None = None
        self._tokens = "char"

    def note(self, line: str) -> None:
        self._console.print(display.plain(line), markup=False, highlight=False, emoji=False)

    def begin(self, total_steps: int, epochs: int, tokens: str = "char") -> None:
        self._epochs, self._tokens = epochs, tokens
        self._bar = Bar(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("[bold]{task.fields[loss]}"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[left]} left"),
            console=self._console,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(
            "", total=total_steps, epoch=f"1/{epochs}", loss="-", speed="-", left="-"
        )

    def step(self, step: int, epoch: int, nats: float, speed: float, remaining: float) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=step,
                epoch=f"{epoch}/{self._epochs}",
                loss=display.loss(nats, self._tokens),
                speed=f"{speed:,.0f} {self._tokens}/s",
                left=display.duration(remaining),
            )

    def validated(self, row: HistoryRow, previews: list[tuple[str, str]]) -> None:
        first, *rest = _validation_lines(row, previews, self._tokens)
        self._console.print(first, style="bold", markup=False, highlight=False, emoji=False)
        for line in rest:
            self._console.print(line, style="dim", markup=False, highlight=False, emoji=False)

    def download(self, done: int, total: int | None) -> None:
        self._show(Bar("downloading", BarColumn(), DownloadColumn(), console=self._console), done, total)

    def reading(self, done: int, total: int) -> None:
        self._show(Bar("reading", BarColumn(), console=self._console, transient=True), done, total)

    def _show(self, bar: Bar, done: int, total: int | None) -> None:
        if self._bar is None:
            self._bar = bar
            self._bar.start()
            self._task = self._bar.add_task("", total=total)
        self._bar.update(self._task, completed=done, total=total)
        if done == total:
            self.end()

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _validation_lines(row: HistoryRow, previews: list[tuple[str, str]], tokens: str) -> list[str]:
    held_out = ""
    if row.validation_nats is not None:
        held_out = f"  held out {display.loss(row.validation_nats, tokens)}"
    if row.validation_accuracy is not None:
        held_out += f"  {row.validation_accuracy:.2%} right"
    head = (
        f"epoch {row.epoch}  step {row.step:,}  train {display.loss(row.train_nats, tokens)}{held_out}  "
        f"{row.characters_per_second:,.0f} {display.unit(tokens)}/s  {display.duration(row.seconds)}"
    )
    return [head, *(f"  {label}: {display.one_line(text, _PREVIEW_WIDTH)}" for label, text in previews)]


class _Patient:
    """A stream that falls silent, instead of failing, when its reader or terminal is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def on(stream: TextIO | None) -> Progress:
    """Return the display that suits a stream: a bar needs a terminal; a closed one none."""
    if stream is None:
        return Progress()
    patient: Any = _Patient(stream)
    console = Console(file=patient, force_jupyter=False)
    return Live(console) if console.is_terminal else Lines(patient)
