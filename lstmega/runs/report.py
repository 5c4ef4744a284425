"""What a run looks like to a person and to a machine: overview, report, model card."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstmega.data.corpus import NAMED
from lstmega.display import formatting as display
from lstmega.display import history as curves
from lstmega.errors import RunError
from lstmega.runs import directory as directories
from lstmega.runs import record as records
from lstmega.runs.directory import RunDirectory
from lstmega.runs.record import Record
from lstmega.runs.run import Run


def overview(checkpoints: Path) -> list[dict[str, Any]]:
    """Return one row for each run, newest first; a damaged run has its complaint as status."""
    return [_overview_row(path) for path in directories.directories(checkpoints)]


def _overview_row(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(
        ("run", "status", "text", "model", "parameters", "step", "nats", "bits", "minutes")
    )
    row["run"] = path.name
    try:
        record = directories.read_record(path)
    except RunError as error:
        return row | {"status": str(error)}
    model, best = record.model, record.best
    return row | {
        "status": record.status,
        "text": record.source,
        "model": f"{model.layers} x {model.cell} {model.units}",
        "parameters": record.parameters,
        "step": record.step,
        "nats": best and round(best.nats, 4),
        "bits": best and round(display.bits(best.nats), 4),
        "minutes": round(record.seconds / 60, 2),
    }


def as_json(run: RunDirectory) -> dict[str, Any]:
    """Return a run for a machine: run.json's fields, the history, the path."""
    history = [dataclasses.asdict(row) for row in run.history()]
    return dataclasses.asdict(run.record) | {
        "path": str(run.path),
        "parameters": run.record.parameters,
        "history": history,
    }


def report(run: Run) -> str:
    """Return a run for a terminal: facts, history, options, the last samples."""
    facts = display.columns([(f"{label}:", text) for label, text in run.record.facts()])
    history = display.columns(history_table(run))
    table, words = _standing(run)
    curve = [
        part
        for part in (curves.terminal(run.history(), unit=run.record.unit), curves.verdict(run.history()))
        if part
    ]
    standing = [display.columns(table), words] if table else []
    options = display.columns(_option_rows(run.record))
    samples = re.split(r"^=== (?=epoch \d+, step [\d,]+: )", run.samples(), flags=re.MULTILINE)[
        -1
    ].strip()
    parts = [run.name, facts, *standing, *curve, history, options]
    return "\n\n".join([*parts, f"=== {samples}"] if samples else parts)


def _standing(run: Run) -> tuple[list[list[str]], str]:
    """Return the table of the best weights among the yardsticks, and what it says in words."""
    record, best = run.record, run.record.best
    if best is None or not record.yardsticks:
        return [], ""
    bits = display.bits(best.nats)
    words = f"This model is {records.baseline_summary(bits, record.yardsticks)}."
    return records.baseline_table(bits, record.yardsticks, record.text.tokens), words


def overview_table(rows: list[dict[str, Any]]) -> str:
    """Return `overview`'s rows for a terminal."""
    cells = [[display.one_line(display.number(value), 60) for value in row.values()] for row in rows]
    return display.columns([list(rows[0]), *cells])


def history_table(run: RunDirectory) -> list[list[str]]:
    names = curves.columns(run.history())
    return [names, *([display.number(getattr(row, name)) for name in names] for row in run.history())]


_COUNTED = {"char": "character", "byte": "byte"}
_LEVEL = {"char": "character-level", "byte": "byte-level"}


def card(run: Run) -> str:
    """Return the model card: what it was trained on, how well, with samples, as Markdown."""
    facts = [("", run.name), *run.record.facts()]
    options = [("option", "value"), *_option_rows(run.record)]
    sections = [
        f"# {run.name}",
        f"A {_LEVEL[run.record.text.tokens]} text generator, trained by lstmega. Write with it:",
        f"    lstmega sample --run {run.name} --temps 0.5,0.8",
        display.markdown_table(facts),
        "## How it learned",
        f"Losses are per {_COUNTED[run.record.text.tokens]}. Validation reads the held-out text once, "
        "the state carried along (stream protocol), in up to 64 lanes, each warmed up on 256 tokens.",
        display.markdown_table(history_table(run)),
        *_card_standing(run),
        "## What it writes",
        display.fenced(run.samples()[-4000:].strip() or "(nothing yet)"),
        "## Options",
        display.markdown_table(options),
        "## Origin",
        display.markdown_table(
            [("", "")]
            + [("source", source) for source in run.record.text.sources]
            + [(name, version) for name, version in run.record.versions.items()]
        ),
        "It repeats the habits, the errors and the prejudices of its text, and may quote it verbatim.",
    ]
    return "\n\n".join(sections) + "\n"


def _card_standing(run: Run) -> list[str]:
    table, words = _standing(run)
    learning = curves.verdict(run.history())
    sections = ["## Beside simpler models", display.markdown_table(table), words] if table else []
    return [learning, *sections] if learning else sections


def _option_rows(record: Record) -> list[tuple[str, str]]:
    fields = dataclasses.asdict(record.model) | dataclasses.asdict(record.training)
    return [(name, str(value)) for name, value in fields.items()]


def farewell(run: RunDirectory) -> str:
    """Return what a person wants to read when training is done."""
    best, record = run.record.best, run.record
    if best is None:
        return f"{run.path} has no weights."
    return (
        f"Best {record.judged_by}: {display.loss(best.nats, record.unit)} at step "
        f"{best.step:,} of {record.step:,}, in "
        f"{display.duration(record.seconds)}. {run.next_step} --run {run.path}"
    )


def nothing_to_do(run: RunDirectory) -> str:
    """Return what a person wants to read who trains a finished run again."""
    return f"{run.path} is finished; a larger --epochs or --steps trains on. {farewell(run)}"


def named_corpora() -> list[list[str]]:
    """Return the table of named corpora."""
    rows = [[item.name, display.number(item.characters), item.title] for item in NAMED.values()]
    return [["name", "characters", "text"], *rows]


def text_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return `corpus.describe`'s facts as lines for a terminal."""
    frequent = " ".join(f"{item['character']!r}" for item in facts["most_frequent"])
    listed = {"most_frequent": frequent, "notes": " ".join(facts["notes"]) or "-"}
    sources = [(source["path"], source["encoding"]) for source in facts["sources"]]
    listed["sources"] = ", ".join(f"{path} ({encoding})" for path, encoding in sources)
    return [(name, display.number(listed.get(name, value))) for name, value in facts.items()]
