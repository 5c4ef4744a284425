"""Runs for people and programs: overview, report and model card, of generators and classifiers alike."""

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lstmega.data.download import NAMED
from lstmega.display import formatting, history
from lstmega.errors import RunError
from lstmega.runs import directory, schema
from lstmega.runs.record import (
    ClassifierRecord,
    GeneratorRecord,
    RunRecord,
    Table,
    baseline_summary,
    baseline_table,
)
from lstmega.runs.run import Run

_PREVIEW = re.compile(r"^=== (?=epoch \d+, step [\d,]+: )", re.MULTILINE)
_MOST_CARD = 4000  # characters of previews in a model card


def overview(checkpoints: Path) -> list[dict[str, Any]]:
    """Return one row for each run, newest first; a damaged run has the error as its status."""
    return [_overview_row(path) for path in directory.directories(checkpoints)]


def _overview_row(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(
        ("run", "status", "text", "model", "parameters", "step", "nats", "bits", "minutes", "megabytes")
    )
    row |= {"run": path.name, "megabytes": round(directory.size(path) / 1e6, 2)}
    try:
        record = directory.read_record(path)
    except RunError as error:
        return row | {"status": str(error)}
    nats = record.nats
    return row | {
        "status": record.status,
        "text": record.info.name,
        "model": record.model_name,
        "parameters": record.parameters,
        "step": record.step,
        "nats": nats and round(nats, 4),
        "bits": nats and round(formatting.bits(nats), 4),
        "minutes": round(record.seconds / 60, 2),
    }


def overview_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return `overview`'s rows for a terminal."""
    cells = [
        [formatting.one_line(formatting.number(value), 60) for value in row.values()] for row in rows
    ]
    return formatting.columns([list(rows[0]), *cells])


def as_json(run: Run) -> dict[str, Any]:
    """Return the JSON object of `show --json`: run.json's fields, path, parameters and history."""
    record = run.record
    fields: dict[str, Any] = schema.to_json(record)
    return fields | {
        "path": str(run.path),
        "parameters": record.parameters,
        "nats": record.nats,
        "history": [dataclasses.asdict(row) for row in run.history()],
    }


def report(run: Run) -> str:
    """Return a run for a terminal: facts, baselines, history, options, the last previews."""
    record, rows = run.record, run.history()
    table, words = _standing(run)
    parts = [
        run.name,
        formatting.columns([(f"{label}:", text) for label, text in record.facts()]),
        formatting.columns(table) if table else "",
        words,
        history.terminal(rows, unit=record.unit),
        history.verdict(rows),
        formatting.columns(history_table(run)) if rows else "",
        formatting.columns(record.options()),
        _last_preview(run),
    ]
    return "\n\n".join(filter(None, parts))


def _standing(run: Run) -> tuple[Table, str]:
    """Return the table of the best weights among the baselines, and their place in words."""
    record, nats = run.record, run.record.nats
    if nats is None or not record.baselines:
        return [], ""
    bits = formatting.bits(nats)
    words = f"This model is {baseline_summary(bits, record.baselines)}."
    return baseline_table(bits, [*record.parts, *record.baselines], record.unit), words


def history_table(run: Run) -> Table:
    """Return the history as rows of cells under a head."""
    rows = run.history()
    names = history.columns(rows)
    return [names, *([formatting.number(getattr(row, name)) for name in names] for row in rows)]


def _last_preview(run: Run) -> str:
    last = _PREVIEW.split(run.samples())[-1].strip()
    return f"=== {last}" if last else ""


def card(run: Run) -> str:
    """Return the model card in Markdown: training data, losses, previews, options."""
    record, rows = run.record, run.history()
    table, words = _standing(run)
    title, protocol, heading, warning = _card_words(run)
    sections = [
        f"# {formatting.markdown(run.name)}",
        title,
        formatting.markdown_table([("", run.name), *record.facts()]),
        "## Losses",
        protocol,
        formatting.markdown_table(history_table(run)) if rows else "",
        history.verdict(rows),
        *(["## Beside simpler models", formatting.markdown_table(table), words] if table else []),
        heading,
        formatting.fenced(run.samples()[-_MOST_CARD:].strip() or "(nothing yet)"),
        *_classes(record),
        "## Options",
        formatting.markdown_table([("option", "value"), *record.options()]),
        "## Origin",
        formatting.markdown_table(
            [("", ""), *(("source", source) for source in record.info.sources), *record.versions.items()]
        ),
        warning,
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _card_words(run: Run) -> tuple[str, str, str, str]:
    """Return the words of a kind of run: title, protocol, heading of the previews, warning."""
    record, name = run.record, formatting.plain(run.name).replace("\n", " ")
    if isinstance(record, ClassifierRecord):
        return (
            "A classifier of sequences, trained by lstmega. Use it, and see its errors:\n\n"
            f'    lstmega classify predict --run {name} "..."\n'
            f"    lstmega classify evaluate --run {name}",
            "Losses are per example. Accuracy is the fraction of held-out examples that are right; "
            f"always predicting the most frequent class is right in {record.majority:.2%} of them.",
            "## Predictions on held-out examples",
            "It repeats the habits, the errors and the prejudices of its data.",
        )
    unit = {"byte": "byte"}.get(record.unit, "character")
    reading = record.reading if isinstance(record, GeneratorRecord) else ""
    return (
        f"A {unit}-level text generator, trained by lstmega. Generate text with it:\n\n"
        f"    lstmega sample --run {name} --temps 0.5,0.8",
        f"Losses are per {unit}. The held-out text is read once, {reading}.{_of_network(record)}",
        "## Samples",
        "It repeats the habits, the errors and the prejudices of its text, and may quote it verbatim.",
    )


def _of_network(record: RunRecord) -> str:
    """Return a sentence about the history of a run that is a mixture."""
    return " While it was trained, the network alone was measured:" if record.parts else ""


def _classes(record: Any) -> list[str]:
    if not isinstance(record, ClassifierRecord):
        return []
    counts = zip(record.classes, (f"{count:,}" for count in record.data.counts), strict=True)
    return ["## Classes", formatting.markdown_table([("class", "examples"), *counts])]


def farewell(run: Run) -> str:
    """Return the last line of a training: the loss, its step and time, the next command."""
    record, after = run.record, f"{run.next_step} --run {shlex.quote(str(run.path))}"
    if not record.has_network:
        loss = (
            ""
            if record.nats is None
            else f"Held-out loss: {formatting.loss(record.nats, record.unit)}. "
        )
        return f"Counted in {formatting.duration(record.seconds)}. {loss}{after}"
    if record.best is None or record.nats is None:
        return f"{run.path} has no weights."
    return (
        f"Best {record.monitor}: {formatting.loss(record.nats, record.unit)} at step "
        f"{record.best.step:,} of {record.step:,}, in {formatting.duration(record.seconds)}"
        f"{_parts(record)}. {after}"
    )


def _parts(record: RunRecord) -> str:
    """Return the losses of the models that a run is mixed of, in brackets."""
    mixture = record.mixture if isinstance(record, GeneratorRecord) else None
    if mixture is None or mixture.network is None:
        return ""
    return f" (network alone {mixture.network:.3f}, {mixture.order}-grams alone {mixture.ngram:.3f})"


def nothing_to_do(run: Run) -> str:
    """Return the answer to a second training of a finished run."""
    more = "; a larger --epochs or --steps continues it" * run.record.has_network
    return f"{run.path} is finished{more}. {farewell(run)}"


def named_corpora() -> Table:
    """Return the table of named corpora."""
    rows = [[item.name, formatting.number(item.characters), item.title] for item in NAMED.values()]
    return [["name", "characters", "text"], *rows]


def text_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return `corpus.describe`'s facts as lines for a terminal."""
    frequent = " ".join(f"{item['character']!r}" for item in facts["most_frequent"])
    listed = {"most_frequent": frequent, "notes": " ".join(facts["notes"]) or "-"}
    sources = [(source["path"], source["encoding"]) for source in facts["sources"]]
    listed["sources"] = ", ".join(f"{path} ({encoding})" for path, encoding in sources)
    return [(name, formatting.number(listed.get(name, value))) for name, value in facts.items()]
