"""The command line: a command parses, calls one function, prints.

Results go to stdout, talk and progress to stderr. This is the only module that prints and exits:
0 done, 1 failed, 2 wrong use, 130 interrupted. No import here brings TensorFlow.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from lstmega.cli import terminal
from lstmega.cli.classify import classify
from lstmega.cli.evaluate import compare, evaluate, inspect
from lstmega.cli.options import (
    checkpoints_option,
    config_option,
    fields_as_options,
    json_option,
    machine_options,
    num_samples_option,
    prompt_options,
    reading_options,
    run_options,
    training_text_option,
)
from lstmega.cli.runs import corpus, list_runs, show
from lstmega.cli.write import write
from lstmega.config.generation import GenerationConfig
from lstmega.config.model import GeneratorConfig
from lstmega.config.presets import PRESETS
from lstmega.config.training import TrainingConfig
from lstmega.errors import LstmegaError, PromptError

DEFAULTS = {"small": (PRESETS["small"].model, PRESETS["small"].training)}


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
    except LstmegaError as error:
        terminal.say(f"lstmega: {error}")
        code = error.exit_code
    except click.Abort:
        code = 130
    except OSError as error:
        terminal.say(f"lstmega: {error}")
        code = 1
    except MemoryError:
        terminal.say("lstmega: This needs more memory than there is.")
        code = 1
    sys.exit(code)


class _Quiet(click.Group):
    """A group that ends quietly when nobody reads stdout on, as in `lstmega sample | head`.

    A training never gets here for a dead stderr: its progress goes on in silence.
    """

    def invoke(self, context: click.Context) -> Any:
        try:
            result = super().invoke(context)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0


@click.group(
    cls=_Quiet, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
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
    + ". Without one, a run that goes on keeps its options, and --minutes picks what suits it.",
)
@config_option("generator")
@fields_as_options(GeneratorConfig, DEFAULTS)
@fields_as_options(TrainingConfig, DEFAULTS)
@reading_options
@click.option("--max-vocabulary", type=int, help="Keep this many tokens, the rest become <unk>.")
@click.option("--run", metavar="NAME|PATH", help="The run's name; without it, the text's and the time.")
@checkpoints_option
@machine_options
@click.option("--init-from", metavar="NAME|PATH", help="Start from the best weights of this run.")
def train(corpus: tuple[str, ...], **options: Any) -> None:
    """Train a model on a text, and keep it in a run directory.

    Every option below overrides one field of the preset. Progress goes to stderr, the run's path to
    stdout.
    """
    from lstmega import api

    run = api.train(corpus, **options)
    click.echo(run.path)


@cli.command()
@run_options
@click.option(
    "--temps",
    default="0.5,0.8",
    show_default=True,
    metavar="LIST",
    help="Temperatures, such as 0.5,0.8 or 0.2:1.4:0.2; 0 takes the likeliest character.",
)
@click.option("--length", type=int, default=1000, show_default=True, help="Characters of each text.")
@prompt_options
@num_samples_option(1, "Texts at each temperature.")
@config_option()
@fields_as_options(GenerationConfig)
@training_text_option
@json_option
def sample(temps: str, as_json: bool, **options: Any) -> None:
    """Write with a trained run, at one or several temperatures.

    A single text is streamed as it is written; several come as one block for each. Each begins with
    its prompt.
    """
    from lstmega.inference.temperature import parse_temperatures

    temperatures = parse_temperatures(temps)
    options["prompt"] = _prompt(options["prompt"])
    several = len(temperatures) > 1 and options["vary"] is None
    if as_json or several or options["num_samples"] != 1:
        _blocks(temperatures, options, as_json)
    else:
        options.pop("num_samples")
        _stream(temperatures, options)


def _prompt(given: str | None) -> str | None:
    if given != "-":
        return given
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise PromptError(f"--prompt - must be UTF-8. Received: {error}.") from error


def _blocks(temperatures: Sequence[float], options: dict[str, Any], as_json: bool) -> None:
    from lstmega import api

    samples = api.sample(temperatures=temperatures, **options)
    if as_json:
        terminal.print_json(samples.to_dicts())
    else:
        click.echo(str(samples))


def _stream(temperatures: Sequence[float], options: dict[str, Any]) -> None:
    from lstmega import api
    from lstmega.display.formatting import plain

    text = api.stream(temperature=temperatures, **options)
    terminal.say(text.start.heading)
    click.echo(plain(text.start.prompt), nl=False)
    for piece in text:
        click.echo(plain(piece), nl=False)
        sys.stdout.flush()
    click.echo()


@cli.command()
@run_options
@click.option(
    "--temps",
    default="0.2:1.4:0.1",
    show_default=True,
    metavar="LIST",
    help="Temperatures, such as 0.2:1.4:0.1 or 0.5,0.8.",
)
@click.option("--length", type=int, default=2000, show_default=True, help="Characters of each text.")
@num_samples_option(4, "Texts at each temperature.")
@prompt_options
@config_option()
@fields_as_options(GenerationConfig)
@training_text_option
@click.option("--html", type=Path, help="Write charts and texts to this file, one page of its own.")
@json_option
def sweep(temps: str, html: Path | None, as_json: bool, **options: Any) -> None:
    """Write at many temperatures, and measure what temperature does.

    Known words, repetition, novelty and passages copied from the training text, beside the same of the
    held-out text.
    """
    from lstmega import api
    from lstmega.inference.temperature import parse_temperatures

    options["prompt"] = _prompt(options["prompt"])
    result = api.sweep(temperatures=parse_temperatures(temps), **options)
    if html is not None:
        terminal.say(f"Wrote {result.save_html(html)}")
    if as_json:
        terminal.print_json(result.to_dicts())
    else:
        terminal.echo(str(result))


for command in (write, evaluate, compare, inspect, classify, list_runs, show, corpus):
    cli.add_command(command)


if __name__ == "__main__":
    main()
