"""Progress of long work: a live display on a terminal, whole lines without control characters elsewhere.

The library calls the methods of `Progress` and prints nothing; the caller chooses the stream.
"""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TextIO

from lstmega.display import formatting as display
from lstmega.display.history import HistoryRow

if TYPE_CHECKING:  # `rich` is imported on use: `sample` starts without it
    from rich.console import Console
    from rich.progress import Progress as Bar

_PLAIN_INTERVAL = 20.0  # seconds between lines of a log
_PREVIEW_WIDTH = 100


class Progress:
    """The events of a training, a download or a measurement; this class displays nothing."""

    _total, _epochs, _tokens = 0, 0, "char"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def note(self, line: str) -> None:
        """Display a sentence."""

    def begin(self, total_steps: int, epochs: int, tokens: str = "char") -> None:
        """Begin a training; `tokens` is the unit of its losses: `char`, `byte` or `example`."""
        self._tokens = tokens
        self.plan(total_steps, epochs)

    def plan(self, total_steps: int, epochs: int) -> None:
        """Set the length of the training."""
        self._total, self._epochs = total_steps, epochs

    def step(self, step: int, epoch: int, nats: float, speed: float, remaining: float) -> None:
        """Display a step: steps done, epoch from 1, smoothed loss, characters/s, seconds left."""

    def validated(self, row: HistoryRow, previews: list[tuple[str, str]]) -> None:
        """Display a validation and previews: (label, text) pairs, such as temperatures."""

    def download(self, done: int, total: int | None) -> None:
        """Display a download: bytes here and in all."""

    def reading(self, done: int, total: int) -> None:
        """Display the measurement of a text: characters read and in all."""

    def end(self) -> None:
        """End the display."""


class PlainProgress(Progress):
    """Whole lines on a stream that is not a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = 0.0  # time of the last line

    def note(self, line: str) -> None:
        print(display.plain(line), file=self._stream, flush=True)

    def begin(self, total_steps: int, epochs: int, tokens: str = "char") -> None:
        super().begin(total_steps, epochs, tokens)
        self._last = time.monotonic()

    def step(self, step: int, epoch: int, nats: float, speed: float, remaining: float) -> None:
        self._seldom(
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
        self._seldom(f"read {done:,} of {total:,}")

    def _seldom(self, line: str) -> None:
        if time.monotonic() - self._last >= _PLAIN_INTERVAL:
            self._last = time.monotonic()
            self.note(line)


class LiveProgress(Progress):
    """A bar and scrolling results on a terminal."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._bar: Bar | None = None

    def note(self, line: str, style: str | None = None) -> None:
        text = display.plain(line)
        self._console.print(text, style=style, markup=False, highlight=False, emoji=False)

    def begin(self, total_steps: int, epochs: int, tokens: str = "char") -> None:
        from rich.progress import BarColumn, TextColumn  # noqa: PLC0415
        from rich.progress import Progress as Bar  # noqa: PLC0415

        super().begin(total_steps, epochs, tokens)
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
        fields: dict[str, Any] = {"epoch": f"1/{epochs}", "loss": "-", "speed": "-", "left": "-"}
        self._task = self._bar.add_task("", total=total_steps, **fields)

    def plan(self, total_steps: int, epochs: int) -> None:
        super().plan(total_steps, epochs)
        if self._bar is not None:
            self._bar.update(self._task, total=total_steps)

    def step(self, step: int, epoch: int, nats: float, speed: float, remaining: float) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=step,
                epoch=f"{epoch}/{self._epochs}",
                loss=display.loss(nats, self._tokens),
                speed=f"{speed:,.0f} {display.unit(self._tokens)}/s",
                left=display.duration(remaining),
            )

    def validated(self, row: HistoryRow, previews: list[tuple[str, str]]) -> None:
        for number, line in enumerate(_validation_lines(row, previews, self._tokens)):
            self.note(line, "dim" if number else "bold")

    def download(self, done: int, total: int | None) -> None:
        from rich.progress import DownloadColumn  # noqa: PLC0415

        self._show(done, total, "downloading", DownloadColumn())

    def reading(self, done: int, total: int) -> None:
        self._show(done, total, "reading", transient=True)

    def _show(self, done: int, total: int | None, label: str, *columns: Any, **how: Any) -> None:
        from rich.progress import BarColumn  # noqa: PLC0415
        from rich.progress import Progress as Bar  # noqa: PLC0415

        if self._bar is None:
            self._bar = Bar(label, BarColumn(), *columns, console=self._console, **how)
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
    """A stream without errors: it writes nothing when its reader or terminal is gone."""

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
    """Return the display for a stream: a bar on a terminal, else lines, nothing for None."""
    if stream is None:
        return Progress()
    from rich.console import Console  # noqa: PLC0415

    patient: Any = _Patient(stream)
    console = Console(file=patient, force_jupyter=False)
    return LiveProgress(console) if console.is_terminal else PlainProgress(patient)
