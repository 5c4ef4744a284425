"""The command line: a command parses, calls one function, prints.

Results go to stdout, messages and progress to stderr. Exit codes: 0 done, 1 failed, 2 wrong use, 130
interrupted; only this module exits. No import here brings TensorFlow.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from lstmega.cli import terminal
from lstmega.cli.classify import classify
from lstmega.cli.evaluate import compare, evaluate, inspect
from lstmega.cli.options import (
    generation_options,
    json_option,
    reading_options,
    result_options,
    training_options,
)
from lstmega.cli.runs import corpus, list_runs, show
from lstmega.cli.write import write
from lstmega.config.model import GeneratorConfig
from lstmega.config.presets import PRESETS
from lstmega.errors import LstmegaError
from lstmega.files import Output

_DEFAULTS = {"small": (PRESETS["small"].model, PRESETS["small"].training)}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
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
        terminal.say(f"lstmega: {error}")
        code = getattr(error, "exit_code", 1)
    except click.Abort:
        code = 130
    except MemoryError:
        terminal.say("lstmega: This needs more memory than there is.")
        code = 1
    sys.exit(code)


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
    metavar="PATH|DIR|-|NAME",
    help="Text to learn: file, directory, stdin or named corpus. Repeatable.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="; ".join(f"{name}: {preset.summary}" for name, preset in PRESETS.items())
    + ". Without one, a resumed run keeps its options, and --minutes chooses options for that time.",
)
@reading_options
@training_options("generator", GeneratorConfig, _DEFAULTS, "Start from the best weights of this run.")
def train(corpus: tuple[str, ...], **options: Any) -> None:
    """Train a model on a text, and keep it in a run directory.

    Every option below overrides one field of the preset. Progress goes to stderr, the run's path to
    stdout.
    """
    from lstmega import api

    click.echo(api.train(corpus, **options).path)


@cli.command()
@generation_options("0.5,0.8", 1000, 1)
@json_option
def sample(temps: str, as_json: bool, **options: Any) -> None:
    """Generate texts with a trained run, at one or several temperatures.

    A single text is printed as it is generated, several as one block each. Each begins with its prompt.
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

    terminal.say(text.start.heading)
    click.echo(plain(text.start.prompt), nl=False)
    for piece in text:
        click.echo(plain(piece), nl=False)
        sys.stdout.flush()
    click.echo()


@cli.command()
@generation_options("0.2:1.4:0.1", 2000, 4)
@result_options
def sweep(temps: str, html: Output | None, as_json: bool, **options: Any) -> None:
    """Generate at many temperatures, and measure the effect of temperature.

    Known words, repetition, novelty and passages copied from the training text, beside the same of the
    held-out text.
    """
    from lstmega import api
    from lstmega.inference.temperature import parse_temperatures

    options["prompt"] = _prompt(options["prompt"])
    result = api.sweep(temperatures=parse_temperatures(temps), **options)
    terminal.result(result, as_json, html)


for command in (write, evaluate, compare, inspect, classify, list_runs, show, corpus):
    cli.add_command(command)


if __name__ == "__main__":
    main()
