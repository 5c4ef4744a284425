"""The command line: a command parses, calls one function, prints.

Results go to stdout, messages and progress to stderr. Exit codes: 0 done, 1 failed, 2 wrong use, 130
interrupted; only this module exits. No import here brings TensorFlow.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from lstmega.cli import terminal
from lstmega.cli.classify import classify
from lstmega.cli.evaluate import compare, evaluate, inspect
from lstmega.cli.options import (
    Name,
    generation_options,
    json_option,
    reading_options,
    result_options,
    training_options,
)
from lstmega.cli.runs import corpus, list_runs, prune, show
from lstmega.cli.write import write
from lstmega.config.model import GeneratorConfig
from lstmega.config.presets import PRESETS
from lstmega.errors import LstmegaError, reason_of
from lstmega.files import Output

_DEFAULTS = {"small": (PRESETS["small"].model, PRESETS["small"].training)}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # no text crashes a narrow terminal
    try:
        code = cli.main(arguments, prog_name="lstmega", standalone_mode=False)
    except NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "lstmega"
        terminal.say(f"lstmega: {error.format_message()} See {command} --help.")
        code = error.exit_code
    except (LstmegaError, OSError) as error:
        _fail(terminal.message(error), error)
        code = getattr(error, "exit_code", 1)
    except click.Abort:
        code = 130
    except MemoryError as error:
        _fail("This needs more memory than there is.", error)
        code = 1
    except Exception as error:  # a defect: whatever it is, the user gets one line
        _fail(_report(error), error)
        code = 1
    sys.exit(_flushed(code or 0))


def _open_closed_streams() -> None:
    """Open the streams that the caller closed (`>&-`, cron); no other file must get their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)  # has the lowest number that is free: the stream's
            os.set_inheritable(nothing, True)
            setattr(sys, name, os.fdopen(nothing, mode, encoding="utf-8", closefd=False))


def _flushed(code: int) -> int:
    """Return the exit code after the rest of stdout is written: 1 where it cannot be."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # not again, at exit
        if isinstance(error, BrokenPipeError):
            return code
        if not code:
            _fail(
                f"The result cannot be written. Received: {reason_of(error)}. Accepted: stdout.", error
            )
        return code or 1
    return code


def _fail(message: str, error: BaseException) -> None:
    """Print an error in one line, behind its traceback where `LSTMEGA_DEBUG=1` asks for that."""
    if os.environ.get("LSTMEGA_DEBUG") == "1":
        for line in traceback.format_exception(error):
            terminal.say(line.rstrip())
    terminal.say(f"lstmega: {message}")


def _report(error: Exception) -> str:
    """Return what to report about an error that no part of the program has expected."""
    package = str(Path(__file__).parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(package)]
    place = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    file = getattr(error, "filename", None)
    return (
        f"An error that should not happen{f', with {file}' if file else ''}. Received: "
        f"{type(error).__name__}{place}: {' '.join(str(error).split())[:300] or 'no message'}. "
        "Please report it, with the command and what LSTMEGA_DEBUG=1 shows."
    )


class _Quiet(click.Group):
    """A group that ends quietly when the reader of stdout has gone, as in `lstmega sample | head`."""

    def invoke(self, context: click.Context) -> Any:
        try:
            result = super().invoke(context)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0


@click.group(
    cls=_Quiet,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.version_option(package_name="lstmega")
def cli() -> None:
    """Train a recurrent network on any text and write with it."""


@cli.command()
@click.option(
    "--corpus",
    required=True,
    multiple=True,
    type=Name(),
    metavar="PATH|DIR|-|NAME",
    help="Text to learn: file, directory, stdin or named corpus. Repeatable.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="; ".join(f"{name}: {preset.summary}" for name, preset in PRESETS.items())
    + ". Without one, a resumed run keeps its options, and --minutes chooses options for that time and "
    "that text.",
)
@reading_options
@training_options("generator", GeneratorConfig, _DEFAULTS, "Start from the best weights of this run.")
def train(corpus: tuple[str, ...], **options: Any) -> None:
    """Train a model on a text, and keep it in a run directory.

    Every option below overrides one field of the preset. Progress goes to stderr, the run's path to
    stdout.
    """
    from lstmega import api

    terminal.path(api.train(corpus, **options).path)


@cli.command()
@generation_options("0.5,0.8", 1000, 1)
@json_option
def sample(temps: str, as_json: bool, **options: Any) -> None:
    """Generate texts with a trained run.

    There is a text for each temperature. A single text is printed as it is generated, several as one
    block each. Each begins with its prompt.
    """
    from lstmega import api
    from lstmega.inference.temperature import parse_temperatures

    temperatures = parse_temperatures(temps)
    options["prompt"] = _prompt(options["prompt"])
    several = len(temperatures) > 1 and options["vary"] is None
    if as_json or several or options["num_samples"] != 1:
        terminal.result(api.sample(temperatures=temperatures, **options), as_json)
    else:
        options.pop("num_samples")
        _print_stream(api.stream(temperature=temperatures, **options))


def _prompt(given: str | None) -> str | None:
    return terminal.stdin_text("--prompt -") if given == "-" else given


def _print_stream(text: Any) -> None:
    from lstmega.display.formatting import plain

    first = next(text, "")  # a refusal comes before any result
    terminal.say(text.start.heading)
    click.echo(plain(text.start.prompt), nl=False)
    for piece in chain([first], text):
        click.echo(plain(piece), nl=False)
        sys.stdout.flush()
    click.echo()


@cli.command()
@generation_options("0.2:1.4:0.1", 2000, 4)
@result_options
def sweep(temps: str, html: Output | None, as_json: bool, **options: Any) -> None:
    """Measure the effect of temperature.

    Texts at many temperatures: known words, repetition, novelty and passages copied from the training
    text, beside the same of the held-out text.
    """
    from lstmega import api
    from lstmega.inference.temperature import parse_temperatures

    options["prompt"] = _prompt(options["prompt"])
    result = api.sweep(temperatures=parse_temperatures(temps), **options)
    terminal.result(result, as_json, html)


for command in (write, evaluate, compare, inspect, classify, list_runs, show, prune, corpus):
    cli.add_command(command)


if __name__ == "__main__":
    main()
