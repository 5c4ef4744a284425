"""What a classifier's run looks like to a person and to a machine: report and model card."""

import dataclasses

from lstmega.config.classifier_options import OF_ONE_TEXT
from lstmega.display import formatting as display
from lstmega.display import history as curves
from lstmega.runs.classifier_run import ClassifierRun
from lstmega.runs.record import ClassifierRecord
from lstmega.runs.report import history_table


def report(run: ClassifierRun) -> str:
    """Return a run for a terminal: facts, history, options, the last previews."""
    history = run.history()
    parts = [
        run.name,
        display.columns([(f"{label}:", text) for label, text in run.record.facts()]),
        curves.terminal(history, unit="example"),
        curves.verdict(history),
        display.columns(history_table(run)),
        display.columns(_option_rows(run.record)),
        last_preview(run),
    ]
    return "\n\n".join(part for part in parts if part)


def last_preview(run: ClassifierRun) -> str:
    """Return what samples.txt says of the last validation."""
    return run.samples().rpartition("=== ")[2].strip()


def card(run: ClassifierRun) -> str:
    """Return the model card: what it was trained on, how well it tells classes, as Markdown."""
    record = run.record
    counts = [("class", "examples")] + [
        (name, f"{count:,}") for name, count in zip(record.classes, record.data.counts, strict=True)
    ]
    sections = [
        f"# {run.name}",
        "A classifier of sequences, trained by lstmega. Ask it, and see where it errs:",
        f'    lstmega classify predict --run {run.name} "..."\n'
        f"    lstmega classify evaluate --run {run.name}",
        display.markdown_table([("", run.name), *record.facts()]),
        "## How it learned",
        "Losses are per example. Accuracy is the share of held-out examples that are right; always "
        f"saying the commonest class would be right in {record.majority:.2%} of them.",
        display.markdown_table(history_table(run)),
        curves.verdict(run.history()),
        "## What it says of held-out examples",
        display.fenced(last_preview(run) or "(nothing yet)"),
        "## Classes",
        display.markdown_table(counts),
        "## Options",
        display.markdown_table([("option", "value"), *_option_rows(record)]),
        "## Origin",
        display.markdown_table(
            [("", "")]
            + [("source", source) for source in record.data.sources]
            + [(name, version) for name, version in record.versions.items()]
        ),
        "It repeats the habits, the errors and the prejudices of its data.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _option_rows(record: ClassifierRecord) -> list[tuple[str, str]]:
    fields = dataclasses.asdict(record.model) | dataclasses.asdict(record.training)
    return [(name, str(value)) for name, value in fields.items() if name not in OF_ONE_TEXT]
