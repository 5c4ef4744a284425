import dataclasses
import re

from lstmega.runs import report as reports
from lstmega.runs.run import GeneratorRun


def test_card_stands_alone(tiny_run):
    card = (tiny_run.path / "README.md").read_text()
    assert card == reports.card(GeneratorRun.open(tiny_run.path))
    for part in ("finished, step 60 of 60", "bits/char", "never trained on", "lstm of 12 units",
                 "temperature 0.5", "tensorflow", "| batch_size | 4 |"):  # fmt: skip
        assert part in card


def test_overview_lists_damaged_runs_too(tiny_run):
    other = tiny_run.path.parent / "broken"
    other.mkdir()
    (other / "run.json").write_text("{")
    rows = {row["run"]: row for row in reports.overview(tiny_run.path.parent)}
    assert rows["owl"]["status"] == "finished"
    assert rows["owl"]["bits"] > 0
    assert "not readable JSON" in rows["broken"]["status"]


def test_report_and_json_agree(tiny_run):
    report, content = reports.report(tiny_run), reports.as_json(tiny_run)
    assert f"{content['parameters']:,}" in report
    assert len(content["history"]) == len(tiny_run.history())
    assert "=== epoch" in report


def test_a_card_shows_no_picture_of_a_foreign_place(tiny_run):
    picture = "![x](https://example.org/x.png)"
    moved = tiny_run.path.rename(tiny_run.path.with_name(picture.replace("/", "_")))
    info = dataclasses.replace(tiny_run.record.text, sources=(picture,), name=picture)
    run = GeneratorRun.open(moved)
    run.update(text=info)
    card = reports.card(run)
    assert "example.org" in card
    beside_code = "\n".join(line for line in card.splitlines() if not line.startswith("    "))
    assert not re.search(r"(?<!\\)\[x", beside_code)
