"""Output and input of the commands: results on stdout, messages and progress on stderr."""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import click

from lstmega.errors import UsageError, sentence_of
from lstmega.files import Output


def say(line: str) -> None:
    """Print a message on stderr; a closed stderr stops no command."""
    from lstmega.display.formatting import plain

    with suppress(OSError, ValueError):
        click.echo(plain(line), err=True)


def message(error: Exception) -> str:
    """Return an error in the words of the user."""
    return sentence_of(error) if isinstance(error, OSError) else str(error)


def print_json(content: Any) -> None:
    from lstmega.display.formatting import plain_json

    ascii_only = (sys.stdout.encoding or "").lower() != "utf-8"
    click.echo(plain_json(json.dumps(content, indent=2, ensure_ascii=ascii_only)))


def path(made: Path) -> None:
    """Print a path on stdout: for people with control characters escaped, for programs as it is."""
    (echo if is_one(sys.stdout) else click.echo)(str(made))


def echo(text: str) -> None:
    """Print text on stdout, with control characters escaped."""
    from lstmega.display.formatting import plain

    click.echo(plain(text))


def result(
    found: Any, as_json: bool, html: Output | None = None, page: Callable[[], Any] | None = None
) -> None:
    """Print a result, as text or as JSON; `html` is the file for its page, or for that of `page()`.

    Where the page goes to stdout, nothing else does.
    """
    if html is not None:
        path = (found if page is None else page()).save_html(html.path, force=html.force)
        if html.to_stdout:
            return
        say(f"Wrote {path}")
    if as_json:
        print_json(found.to_dicts() if hasattr(found, "to_dicts") else found.to_dict())
    else:
        echo(str(found))


def progress() -> Any:
    """Return the display of a long work on stderr."""
    from lstmega.display import progress

    return progress.on(sys.stderr)


def is_one(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal."""
    return stream is not None and stream.isatty()


def stdin_text(source: str) -> str:
    """Return all of standard input.

    Raises:
        UsageError: It is not UTF-8; the message names `source`.
    """
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{source} must be UTF-8. Received: {error}.") from error


def sequences(given: Sequence[str], *, vectors: bool) -> list[Any]:
    """Return the sequences to classify: texts, the lines of stdin for -, or the arrays of .npz files.

    Raises:
        UsageError: There are none, or a file is no .npz file.
    """
    if not given:
        raise UsageError("Name what to classify. Received: nothing. Accepted: texts, - or .npz files.")
    if vectors:
        from lstmega.data.labelled import vectors_of

        return [row for name in given for row in vectors_of(name)]
    texts = [text for text in given if text != "-"]
    if "-" in given:
        texts += [line for line in stdin_text("Standard input").splitlines() if line.strip()]
    return texts


class Lines:
    """Lines that the user types; a terminal has readline.

    Args:
        prompt: Shown before each line; on stderr, where there is no readline.
    """

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self._readline: Any = None
        if is_one(sys.stdin) and is_one(sys.stdout):
            with suppress(ImportError):
                import readline

                self._readline = readline

    def next(self) -> str | None:
        """Return the next line without its end; None at the end of the input.

        Raises:
            UsageError: The line is not UTF-8; the next one may be.
        """
        try:
            return self._typed() if self._readline else self._read()
        except UnicodeDecodeError as error:
            raise UsageError(f"A line must be UTF-8. Received: {error.object[:60]!r}.") from error

    def changed(self, line: str) -> str:
        """Return a line after the user has edited it.

        Raises:
            UsageError: There is no readline.
        """
        if not self._readline:
            raise UsageError(f"/edit needs the new last line. Received: none. The last line now: {line}")
        self._readline.set_startup_hook(lambda: self._readline.insert_text(line))
        try:
            typed = self.next()
        finally:
            self._readline.set_startup_hook()
        return line if typed is None else typed

    def _typed(self) -> str | None:
        try:
            return input(self._prompt)
        except EOFError:
            return None

    def _read(self) -> str | None:
        with suppress(OSError, ValueError):
            click.echo(self._prompt, nl=False, err=True)
        line = b"" if sys.stdin is None else sys.stdin.buffer.readline()
        return line.decode().removesuffix("\n").removesuffix("\r") if line else None
