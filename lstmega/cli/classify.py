"""Commands that train classifiers and ask them."""

from pathlib import Path
from typing import Any

import click

from lstmega.cli import terminal
from lstmega.cli.options import (
    checkpoints_option,
    config_option,
    data_options,
    fields_as_options,
    json_option,
    machine_options,
    run_options,
)
from lstmega.config.model import ClassifierConfig
from lstmega.config.presets import CLASSIFIERS
from lstmega.config.training import TEXT_ONLY, TrainingConfig


@click.group()
def classify() -> None:
    """Sequences and their classes: names, news, rows of pixels."""


@classify.command()
@click.option(
    "--data",
    required=True,
    multiple=True,
    metavar="PATH",
    help="A directory with a text file for each class, a .csv, .tsv or .npz file, or MNIST's images.",
)
@data_options
@click.option(
    "--tokens",
    type=click.Choice(["char", "word"]),
    help="What of a text is read at a step; without it characters of short texts, words of others.",
)
@click.option("--max-vocabulary", type=int, help="Keep this many tokens, the rest is read as unknown.")
@config_option("classifier")
@fields_as_options(ClassifierConfig, CLASSIFIERS)
@fields_as_options(TrainingConfig, CLASSIFIERS, without=TEXT_ONLY)
@click.option("--run", metavar="NAME|PATH", help="The run's name; without it, the data's and the time.")
@checkpoints_option
@machine_options
@click.option(
    "--init-from",
    metavar="NAME|PATH",
    help="Start from the embedding and the recurrent layers of this run, a generator or a classifier.",
)
def train(data: tuple[str, ...], **options: Any) -> None:
    """Train a classifier, and keep it in a run directory.

    Options that are not given are those that suit characters, words or vectors. Progress goes to stderr,
    the run's path to stdout.
    """
    from lstmega import classify

    click.echo(classify.train(data, **options).path)


@classify.command()
@click.argument("texts", nargs=-1)
@run_options
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Classes to show.")
@json_option
def predict(texts: tuple[str, ...], top: int, as_json: bool, **options: Any) -> None:
    """Tell the classes of texts, of the lines of stdin (-), or of the arrays of .npz files."""
    from lstmega import classify
    from lstmega.cli.terminal import sequences
    from lstmega.display import formatting as display

    run = classify.load(options["run"], checkpoints=options["checkpoints"])
    found = classify.predict(run, sequences(texts, vectors=run.vocabulary is None))
    if as_json:
        terminal.print_json(found.to_dicts(top))
    else:
        terminal.echo(display.columns(found.table(top)))


@classify.command()
@run_options
@click.option(
    "--data", multiple=True, metavar="PATH", help="Other examples; without it, the held-out ones."
)
@click.option("--moved", is_flag=True, help="--data is the run's own data in another place.")
@data_options
@click.option("--html", type=Path, help="Write the confusion matrix to this file, one page of its own.")
@json_option
def evaluate(html: Path | None, as_json: bool, **options: Any) -> None:
    """Compare what a classifier says with what is true: accuracy, macro-F1, confusion matrix."""
    from lstmega import classify

    result = classify.evaluate(options.pop("run"), options.pop("data") or None, **options)
    terminal.result(result, html, as_json)
