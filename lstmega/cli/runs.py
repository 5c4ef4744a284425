"""Commands that list and describe runs and texts."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from lstmega.cli import terminal
from lstmega.cli.options import Name, checkpoints_option, corpora_option, json_option, reading_options


@click.command("runs")
@checkpoints_option
@json_option
def list_runs(checkpoints: Path, as_json: bool) -> None:
    """List the runs, newest first."""
    from lstmega.runs import report as reports

    rows = reports.overview(checkpoints)
    if as_json:
        terminal.print_json(rows)
    elif rows:
        click.echo(reports.overview_table(rows))
    else:
        terminal.say(
            f"There are no runs in {checkpoints}. Train one: lstmega train --corpus pydoc --preset tiny"
        )


@click.command()
@click.argument("run", required=False, type=Name())
@checkpoints_option
@json_option
def show(run: str | None, checkpoints: Path, as_json: bool) -> None:
    """Describe one run: options, losses, samples. Without a name, the newest."""
    from lstmega.runs import report as reports
    from lstmega.runs.run import Run

    opened = Run.find(checkpoints, run, trained=False)
    if as_json:
        terminal.print_json(reports.as_json(opened))
    else:
        terminal.echo(reports.report(opened))


@click.command()
@click.argument("run")
@checkpoints_option
@click.option(
    "--keep",
    default="12",
    metavar="best,last|N",
    help="Keep the best and the last weights only, or also a thinned history of at most N files.",
)
def prune(run: str, checkpoints: Path, keep: str) -> None:
    """Remove older weights of a run from the disk; the best and the last stay."""
    from lstmega.runs import directory, retention

    path = directory.located(checkpoints, run)
    left, freed = retention.prune(path, keep)
    click.echo(f"{path} has {left:,} weights files; {freed / 1e6:,.1f} MB were freed.")


@click.group()
def corpus() -> None:
    """List and download named corpora, and describe texts."""


@corpus.command("list")
@json_option
def list_corpora(as_json: bool) -> None:
    """List the named corpora."""
    from lstmega.data.download import NAMED
    from lstmega.display import formatting as display
    from lstmega.runs import report as reports

    if as_json:
        terminal.print_json([dataclasses.asdict(item) for item in NAMED.values()])
    else:
        click.echo(display.columns(reports.named_corpora()))


@corpus.command()
@click.argument("name", type=Name())
@corpora_option
def fetch(name: str, corpora: Path) -> None:
    """Download a named corpus once, checked against its sha256."""
    from lstmega.data import download

    with terminal.progress() as display:
        terminal.path(download.fetch(name, corpora=corpora, progress=display.download))


@corpus.command()
@click.argument("paths", nargs=-1, required=True, type=Name())
@reading_options
@json_option
def info(paths: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Describe a text: encoding, characters, words, hash."""
    from lstmega.config.presets import given_of
    from lstmega.data.corpus import describe, read
    from lstmega.display import formatting
    from lstmega.runs import report as reports

    with terminal.progress() as display:
        facts = describe(read(paths, progress=display.download, **given_of(options)))
    if as_json:
        terminal.print_json(facts)
    else:
        terminal.echo(formatting.columns(reports.text_facts(facts)))
