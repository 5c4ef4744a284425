import json

import numpy as np
import pytest

from lstmega.data.vocabulary import Vocabulary
from lstmega.errors import RunError, UsageError
from lstmega.runs import directory as directories
from lstmega.runs import schema
from lstmega.runs.run import GeneratorRun
from tests.conftest import reseal


def test_reload_means_equal(tiny_run):
    again = GeneratorRun.open(tiny_run.path)
    assert again.record == tiny_run.record
    assert again.vocabulary == tiny_run.vocabulary
    assert again.history() == tiny_run.history()
    for name, array in tiny_run.weights().items():
        np.testing.assert_array_equal(array, again.weights()[name])


def test_directory_is_as_documented(tiny_run):
    files = {str(path.relative_to(tiny_run.path)) for path in tiny_run.path.rglob("*") if path.is_file()}
    fixed = {"run.json", "vocabulary.json", "history.csv", "samples.txt", "held_out.txt", "README.md"}
    assert fixed <= files
    assert all(name.startswith(("weights/epoch-", "state/step-", ".lock")) for name in files - fixed)


def test_record_tells_the_truth(tiny_run, text):
    record = tiny_run.record
    assert record.status == "finished"
    assert record.step == record.total_steps == 60
    assert record.text.characters == len(text)
    assert text.endswith(tiny_run.held_out)
    assert len(tiny_run.held_out) == record.held_out_characters > 0
    assert record.best.nats == min(row.validation_nats for row in tiny_run.history())
    assert record.parameters == sum(array.size for array in tiny_run.weights().values())


def test_history_columns(tiny_run):
    head = (tiny_run.path / "history.csv").read_text().splitlines()[0]
    assert head == (
        "step,epoch,train_nats,validation_nats,validation_bits,learning_rate,"
        "characters_per_second,seconds"
    )


@pytest.mark.parametrize(
    "changes",
    [{"model": {"units": 10**9}}, {"status": "odd"}, {"extra": 1}, {"best": 1}, {"name": None}],
)
def test_a_record_that_is_not_ours_is_refused(tiny_run, changes):
    reseal(tiny_run, **changes)
    with pytest.raises(RunError):
        GeneratorRun.open(tiny_run.path)


def test_a_record_that_was_changed_by_hand_is_refused(tiny_run):
    path = tiny_run.path / "run.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(RunError, match="damaged"):
        GeneratorRun.open(tiny_run.path)


def test_a_field_that_came_later_may_be_absent(tiny_run):
    content = json.loads((tiny_run.path / "run.json").read_bytes())
    for name in ("schema", "sha256", "initial"):
        del content[name]
    del content["training"]["restarts"]
    (tiny_run.path / "run.json").write_bytes(schema.seal(content, directories.SCHEMA))
    assert GeneratorRun.open(tiny_run.path).record.initial == ""


def test_one_damaged_directory_does_not_hide_the_others(tiny_run):
    other = tiny_run.path.parent / "later"
    other.mkdir()
    (other / "run.json").write_text("{")
    assert GeneratorRun.find(tiny_run.path.parent).name == "owl"


def test_newer_schema_names_both(tiny_run):
    path = tiny_run.path / "run.json"
    path.write_bytes(schema.seal({"versions": {"lstmega": "9"}}, 7))
    with pytest.raises(RunError, match=r"schema 7; this lstmega reads schema 1"):
        GeneratorRun.open(tiny_run.path)


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("vocabulary.json", lambda run: run.vocabulary),
        ("held_out.txt", lambda run: run.held_out),
        ("weights", lambda run: run.weights()),
    ],
)
def test_a_changed_byte_is_found(tiny_run, file, read):
    path = tiny_run.path / file
    if file == "weights":
        path = tiny_run.weights_path(tiny_run.record.best.file)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=path.name):
        read(GeneratorRun.open(tiny_run.path))


def test_another_vocabulary_is_found(tiny_run):
    other = Vocabulary.of("xyz")
    (tiny_run.path / "vocabulary.json").write_text(json.dumps(other.to_json()))
    with pytest.raises(RunError, match=other.sha256):
        _ = GeneratorRun.open(tiny_run.path).vocabulary


def test_weights_outside_the_run_are_refused(tiny_run):
    best = json.loads((tiny_run.path / "run.json").read_text())["best"]
    reseal(tiny_run, best=best | {"file": "../../elsewhere.weights.h5"})
    with pytest.raises(RunError, match="not a name for weights"):
        GeneratorRun.open(tiny_run.path).weights()


def test_find_by_name_path_and_newest(tiny_run):
    checkpoints = tiny_run.path.parent
    assert GeneratorRun.find(checkpoints, "owl").path == tiny_run.path
    assert GeneratorRun.find(checkpoints / "elsewhere", tiny_run.path).path == tiny_run.path
    assert GeneratorRun.find(checkpoints).path == tiny_run.path


def test_find_lists_what_there_is(tiny_run):
    with pytest.raises(UsageError, match=r"no run 'cat'.*owl"):
        GeneratorRun.find(tiny_run.path.parent, "cat")


def test_nothing_trained_says_how_to(tmp_path):
    with pytest.raises(UsageError, match="lstmega train --corpus pydoc"):
        GeneratorRun.find(tmp_path)


def test_newest_skips_a_run_without_weights(tiny_run, text):
    record = tiny_run.record
    path = tiny_run.path.parent / "later"
    later = GeneratorRun.create(path, record, tiny_run.vocabulary, tiny_run.held_out)
    later.update(best=None, weights=(), status="running")
    assert GeneratorRun.find(tiny_run.path.parent).name == "owl"
    with pytest.raises(RunError, match="no weights yet"):
        later.weights()


def test_create_takes_no_used_directory(tiny_run):
    with pytest.raises(UsageError, match="exists already"):
        GeneratorRun.create(tiny_run.path, tiny_run.record, tiny_run.vocabulary, "")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "x" * 300, "a\n"])
def test_names_that_are_no_directory(name):
    with pytest.raises(UsageError, match="--run"):
        directories.check_name(name)


@pytest.mark.parametrize("name", ["a", "nietzsche-20260101-120000", "夢", "v1.0+x"])
def test_names(name):
    assert directories.check_name(name) == name


def test_html_is_escaped(tiny_run):
    reseal(tiny_run, device="<script>")
    assert "<script>" not in GeneratorRun.open(tiny_run.path)._repr_html_()
