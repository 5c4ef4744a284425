"""The command line: a command parses, calls one function, prints.

Results go to stdout, talk and progress to stderr. This is the only module that prints and exits:
0 done, 1 failed, 2 wrong use, 130 interrupted. No import here brings TensorFlow.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from lstmega.errors import LstmegaError, PromptError
from lstmega.flags import (
    checkpoints_option,
    encoding_option,
    fields_as_options,
    json_option,
    reading_options,
    run_options,
)
from lstmega.options import ModelOptions, TrainingOptions
from lstmega.presets import PRESETS


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # no text crashes a narrow terminal
    try:
        code = cli.main(arguments, prog_name="lstmega", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except LstmegaError as error:
        _say(f"lstmega: {error}")
        code = error.exit_code
    except click.Abort:
        code = 130
    except OSError as error:
        _say(f"lstmega: {error}")
        code = 1
    except MemoryError:
        _say("lstmega: This needs more memory than there is.")
        code = 1
    sys.exit(code)


def _say(line: str) -> None:
    from lstmega.display import plain

    click.echo(plain(line), err=True)


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=sys.stdout.encoding.lower() != "utf-8"))


def _echo(text: str) -> None:
    from lstmega.display import plain

    click.echo(plain(text))


def _progress() -> Any:
    from lstmega import progress

    return progress.on(sys.stderr)


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
@fields_as_options(ModelOptions)
@fields_as_options(TrainingOptions)
@reading_options
@click.option("--max-vocabulary", type=int, help="Keep this many tokens, the rest become <unk>.")
@click.option("--run", metavar="NAME|PATH", help="The run's name; without it, the text's and the time.")
@checkpoints_option
@click.option(
    "--resume/--no-resume",
    default=None,
    help="Go on where --run stopped (the default), or the newest unfinished run on this text; or never. "
    "--epochs, --steps, --minutes, --patience, --device and --threads may differ, nothing else.",
)
@click.option("--init-from", metavar="NAME|PATH", help="Start from the best weights of this run.")
@click.option(
    "--save-every",
    type=click.IntRange(1),
    help="Steps between saved states; without it about every minute, and at validations.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="Where to train; auto takes a GPU where TensorFlow sees one.",
)
@click.option("--threads", type=click.IntRange(1), help="Threads of one operation on the CPU.")
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
@click.option(
    "--prompt",
    metavar="TEXT|-",
    help="What to go on from, - for stdin; without it, an excerpt of the held-out text.",
)
@click.option("--count", type=int, default=1, show_default=True, help="Texts at each temperature.")
@click.option("--seed", type=int, help="The same seed writes the same texts.")
@click.option("--top-k", type=int, help="Only the k likeliest characters.")
@click.option("--top-p", type=float, help="Only the likeliest characters of this joint probability.")
@click.option("--min-p", type=float, help="Only characters of this share of the likeliest one's.")
@click.option("--stop", metavar="TEXT", help="A text ends where this appears.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "skip", "fold"]),
    default="error",
    show_default=True,
    help="What to do with characters of the prompt that the run does not know.",
)
@json_option
def sample(temps: str, prompt: str | None, as_json: bool, **options: Any) -> None:
    """Write with a trained run, at one or several temperatures.

    A single text is streamed as it is written; several come as one block for each. Each begins with
    its prompt.
    """
    from lstmega.samplers import parse_temperatures

    temperatures = parse_temperatures(temps)
    options["prompt"] = _read_stdin() if prompt == "-" else prompt
    if as_json or len(temperatures) > 1 or options["count"] != 1:
        _blocks(temperatures, options, as_json)
    else:
        options.pop("count")
        _stream(temperatures[0], options)


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise PromptError(f"--prompt - must be UTF-8. Received: {error}.") from error


def _blocks(temperatures: Sequence[float], options: dict[str, Any], as_json: bool) -> None:
    from lstmega import api

    samples = api.sample(temperatures=temperatures, **options)
    if as_json:
        _print_json(samples.to_dicts())
    else:
        click.echo(str(samples))


def _stream(temperature: float, options: dict[str, Any]) -> None:
    from lstmega import api
    from lstmega.display import plain

    text = api.stream(temperature=temperature, **options)
    _say(text.start.heading)
    click.echo(plain(text.start.prompt), nl=False)
    for piece in text:
        click.echo(plain(piece), nl=False)
        sys.stdout.flush()
    click.echo()


@cli.command()
@run_options
@click.option("--text", metavar="PATH|DIR|-|NAME", help="What to read; without it the held-out text.")
@encoding_option
@click.option(
    "--protocol",
    type=click.Choice(["stream", "window"]),
    default="stream",
    show_default=True,
    help="Carry the state through the whole text, or start anew at each window.",
)
@click.option(
    "--window", type=int, default=64, show_default=True, help="Characters that a window predicts."
)
@click.option(
    "--unknown",
    type=click.Choice(["charge", "skip"]),
    default="charge",
    show_default=True,
    help="Characters that the run does not know cost as much as any unseen one, or are left out.",
)
@click.option(
    "--dynamic",
    type=float,
    metavar="RATE",
    help="Let a copy of the model learn from what it has read, at this rate (0.1 is a start).",
)
@click.option("--html", type=Path, help="Write the text, coloured by bits per character, to this file.")
@json_option
def evaluate(html: Path | None, as_json: bool, **options: Any) -> None:
    """Measure how well a run predicts a text, beside simple models of it.

    The text is the run's held-out tail, which training never saw, or any other.
    """
    from lstmega import api

    with _progress() as listener:
        result = api.evaluate(**options, progress=listener)
    if html is not None:
        _say(f"Wrote {result.save_html(html)}")
    if as_json:
        _print_json(result.to_dict())
    else:
        _echo(str(result))


@cli.command()
@click.argument("runs", nargs=-1, required=True)
@checkpoints_option
@json_option
def compare(runs: tuple[str, ...], checkpoints: Path, as_json: bool) -> None:
    """Measure several runs, each on its held-out text, in one table."""
    from lstmega import api, reports

    with _progress() as listener:
        rows = api.compare(runs, checkpoints=checkpoints, progress=listener)
    if as_json:
        _print_json(rows)
    else:
        _echo(reports.comparison_table(rows))


@cli.command("runs")
@checkpoints_option
@json_option
def list_runs(checkpoints: Path, as_json: bool) -> None:
    """List the runs, newest first."""
    from lstmega import reports

    rows = reports.overview(checkpoints)
    if as_json:
        _print_json(rows)
    elif rows:
        click.echo(reports.overview_table(rows))
    else:
        _say(
            f"There are no runs in {checkpoints}. Train one: lstmega train --corpus pydoc --preset tiny"
        )


@cli.command()
@click.argument("run", required=False)
@checkpoints_option
@json_option
def show(run: str | None, checkpoints: Path, as_json: bool) -> None:
    """Explain one run: options, losses, samples. Without a name, the newest."""
    from lstmega import api, reports

    opened = api.load(run, checkpoints=checkpoints)
    if as_json:
        _print_json(reports.as_json(opened))
    else:
        _echo(reports.report(opened))


@cli.group()
def corpus() -> None:
    """Named corpora, and what a text is like."""


@corpus.command("list")
@json_option
def list_corpora(as_json: bool) -> None:
    """List the named corpora."""
    from lstmega import display, reports
    from lstmega.corpus import NAMED

    if as_json:
        _print_json([dataclasses.asdict(item) for item in NAMED.values()])
    else:
        click.echo(display.columns(reports.named_corpora()))


@corpus.command()
@click.argument("name")
@click.option("--corpora", type=Path, default="corpora", show_default=True, help="Where to keep it.")
def fetch(name: str, corpora: Path) -> None:
    """Download a named corpus once, checked against its sha256."""
    from lstmega.corpus import fetch

    with _progress() as listener:
        click.echo(fetch(name, corpora=corpora, progress=listener.download))


@corpus.command()
@click.argument("paths", nargs=-1, required=True)
@reading_options
@json_option
def info(paths: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Describe a text: encoding, characters, words, hash."""
    from lstmega import display, reports
    from lstmega.corpus import describe, read

    with _progress() as listener:
        facts = describe(read(paths, progress=listener.download, **options))
    if as_json:
        _print_json(facts)
    else:
        _echo(display.columns(reports.text_facts(facts)))


if __name__ == "__main__":
    main()
