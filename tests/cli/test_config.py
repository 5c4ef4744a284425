"""`--config`: options from a TOML file, or from the run.json of a run."""

import json

import click
import pytest

import lstmega
from lstmega import classify as classifiers
from lstmega.cli import main as cli
from lstmega.config.model import ClassifierConfig, GeneratorConfig
from lstmega.config.training import LENGTHS, TEXT_ONLY, TrainingConfig
from lstmega.errors import RunError, UsageError
from tests.conftest import TINY, reseal


def parsed(*arguments):
    """The parameters that a command line gives to its command."""
    command, words = cli.cli, [str(word) for word in arguments]
    while isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    return command.make_context("lstmega", words).params


@pytest.fixture
def toml(tmp_path):
    """A function that writes a TOML file and returns its path."""

    def write(content):
        path = tmp_path / "options.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A classifier that was trained for two steps."""
    place = tmp_path_factory.mktemp("classifier")
    (place / "data.tsv").write_text(
        "".join(f"{'ab'[n % 2]}\t{'xy'[n % 2] * (n + 1)}\n" for n in range(20))
    )
    return classifiers.train(
        place / "data.tsv", run=place / "words", tokens="word", units=3, embedding=2, pool="mean",
        steps=2, batch_size=4, progress=False,
    )  # fmt: skip


def test_command_line_over_file_over_default(toml):
    path = toml('corpus = "a.txt"\nunits = 7\nlayers = 2\ntokens = "byte"\nlower = true\n')
    found = parsed("train", "--config", path, "--units", 9, "--no-tied")
    assert found["units"] == 9
    assert found["layers"] == 2
    assert found["corpus"] == ("a.txt",)
    assert found["tokens"] == "byte"
    assert found["lower"] is True
    assert found["tied"] is False
    assert found["embedding"] is None
    assert found["glob"] == "**/*.txt"
    assert "config" not in found


def test_file_over_preset(toml, tmp_path, text):
    import lstmega

    (tmp_path / "owl.txt").write_text(text)
    options = {name: value for name, value in TINY.items() if name != "run"} | {"steps": 2, "units": 5}
    path = toml("".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items()))
    found = parsed("train", "--corpus", tmp_path / "owl.txt", "--config", path, "--embedding", 4)
    run = lstmega.train(**found | {"checkpoints": tmp_path / "runs", "progress": False})
    assert (run.record.preset, run.record.model.units, run.record.model.embedding) == ("tiny", 5, 4)
    assert run.record.training.steps == 2


@pytest.mark.parametrize("name", ["batch-size", "batch_size"])
def test_hyphens_and_underscores(toml, name):
    assert parsed("train", "--corpus", "a", "--config", toml(f"{name} = 3"))["batch_size"] == 3


@pytest.mark.parametrize("name", ["average", "ema-decay", "ema_decay"])
def test_earlier_names(toml, name):
    assert parsed("train", "--corpus", "a", "--config", toml(f"{name} = 0.9"))["ema_decay"] == 0.9


def test_the_place_on_the_command_line_does_not_matter(toml):
    path = toml("units = 7\nseed = 1")
    assert parsed("train", "--units", 9, "--config", path, "--corpus", "a")["units"] == 9
    assert parsed("train", "--units", 9, "--config", path, "--corpus", "a")["seed"] == 1


def test_repeatable_options_take_one_value_or_several(toml):
    assert parsed("train", "--config", toml('corpus = ["a", "b"]\nhidden = [3, 4]'))["hidden"] == (3, 4)
    assert parsed("train", "--config", toml('corpus = ["a", "b"]'))["corpus"] == ("a", "b")
    assert parsed("train", "--config", toml('corpus = "ab"'), "--corpus", "c")["corpus"] == ("c",)


@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_on_the_command_line_replaces_that_of_the_file(toml, name):
    given = next(other for other in LENGTHS if other != name)
    found = parsed("train", "--corpus", "a", "--config", toml(f"{given} = 5\nunits = 3"), f"--{name}", 7)
    assert {length: found[length] for length in LENGTHS} == dict.fromkeys(LENGTHS) | {name: 7}
    assert found["units"] == 3


@pytest.mark.parametrize(
    ("command", "content", "name", "value"),
    [
        (["sample"], 'temps = "0.3"\ntop-p = 0.5', "top_p", 0.5),
        (["sweep"], "count = 2", "num_samples", 2),
        (["write"], 'regex = "a+"', "regex", "a+"),
        (["classify", "train"], 'data = "names"\npool = "max"', "pool", "max"),
        (
            ["classify", "train"],
            'data = "names"\nclass-names = "c.txt"\nresume = false',
            "resume",
            False,
        ),
    ],
)
def test_commands_with_many_options(toml, command, content, name, value):
    assert parsed(*command, "--config", toml(content))[name] == value


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("unts = 3", ["unts", "Did you mean units?"]),
        ("layer-nrm = true", ["layer-nrm", "Did you mean layer_norm?"]),
        ('config = "other.toml"', ["config", "There is no option"]),
        ("[model]\nunits = 3", ["model", "There is no option"]),
        ('units = "many"', ["units", "'many' is not a valid integer"]),
        ("units = 1.5", ["units", "'1.5' is not a valid integer"]),
        ("units = true", ["units", "'True' is not a valid integer"]),
        ('cell = "lstn"', ["cell", "'lstn' is not one of 'lstm', 'gru', 'rnn'"]),
        ('tied = "perhaps"', ["tied", "'perhaps' is not a valid boolean"]),
        ("threads = 0", ["threads", "0 is not in the range"]),
        ("units = [1, 2]", ["units", "Received: [1, 2]"]),
        ("hidden = [1, [2]]", ["hidden", "Received: [1, [2]]"]),
        ("batch-size = 1\nbatch_size = 2", ["batch_size", "--batch-size must be given once"]),
        ("average = 0.1\nema-decay = 0.2", ["ema-decay", "--ema-decay must be given once"]),
    ],
)
def test_a_wrong_file_is_an_error_that_names_file_and_key(toml, content, parts):
    path = toml(content)
    with pytest.raises(UsageError) as caught:
        parsed("train", "--corpus", "a", "--config", path)
    assert str(caught.value).startswith(f"{path}, {parts[0]}: ")
    assert parts[1] in str(caught.value)


@pytest.mark.parametrize("content", ["units: 3", "units = ", b"\xff\xfe", "a = 1\na = 2"])
def test_not_toml(toml, content):
    with pytest.raises(UsageError, match=r"--config must be a TOML file in UTF-8 \(.*options\.toml"):
        parsed("train", "--corpus", "a", "--config", toml(content))


def test_no_such_file(tmp_path):
    with pytest.raises(UsageError, match=r"No such file or directory.*nowhere"):
        parsed("train", "--corpus", "a", "--config", tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"Is a directory"):
        parsed("train", "--corpus", "a", "--config", tmp_path)


def test_train_like_a_generator(tiny_run):
    found = parsed("train", "--corpus", "a", "--config", tiny_run.path / "run.json", "--units", 9)
    record = tiny_run.record
    model = GeneratorConfig.of({name: found[name] for name in GeneratorConfig.names()})
    assert model == record.model.replace(units=9)
    assert TrainingConfig.of({name: found[name] for name in TrainingConfig.names()}) == record.training
    assert (found["preset"], found["tokens"], found["run"]) == ("tiny", "char", None)
    assert (found["keep_line_ends"], found["lower"]) == (True, False)


def test_the_corpus_of_the_run_is_not_taken(tiny_run):
    with pytest.raises(click.MissingParameter):
        parsed("train", "--config", tiny_run.path / "run.json")


def test_a_run_without_a_preset_of_the_table(tiny_run):
    reseal(tiny_run, preset="fitted")
    found = parsed("train", "--corpus", "a", "--config", tiny_run.path / "run.json")
    assert (found["preset"], found["units"]) == (None, TINY["units"])


def test_train_like_a_classifier(classifier):
    found = parsed("classify", "train", "--data", "a", "--config", classifier.path / "run.json")
    record = classifier.record
    names = [name for name in TrainingConfig.names() if name not in TEXT_ONLY]
    assert ClassifierConfig.of({name: found[name] for name in ClassifierConfig.names()}) == record.model
    assert {name: found[name] for name in names} == {
        name: getattr(record.training, name) for name in names
    }
    assert found["tokens"] == "word"


def test_data_is_read_as_the_run_read_it(tmp_path):
    (tmp_path / "latin1.txt").write_bytes("não é só\n".encode("latin-1") * 50)
    how = {"units": 3, "embedding": 2, "steps": 1, "batch_size": 4, "progress": False}
    run = lstmega.train(tmp_path / "latin1.txt", run=tmp_path / "a", encoding="latin-1", **how)
    found = parsed("train", "--corpus", "a", "--config", run.path / "run.json", "--no-lower")
    assert (found["encoding"], found["lower"]) == ("iso8859-1", False)
    rows = "".join(f"{'xy'[n % 2] * (n + 1)},{'ab'[n % 2]}\n" for n in range(20))
    (tmp_path / "data.csv").write_text("word,kind\n" + rows)
    run = classifiers.train(tmp_path / "data.csv", run=tmp_path / "b", header=True, label="kind", **how)
    found = parsed("classify", "train", "--data", "a", "--config", run.path / "run.json")
    assert (found["header"], found["label"]) == (True, "kind")


def test_another_kind_of_run(tiny_run, classifier):
    with pytest.raises(UsageError, match=r"run\.json of a classifier.*, of a generator"):
        parsed("classify", "train", "--data", "a", "--config", tiny_run.path / "run.json")
    with pytest.raises(UsageError, match=r"run\.json of a generator.*, of a classifier"):
        parsed("train", "--corpus", "a", "--config", classifier.path / "run.json")


def test_a_json_file_that_is_no_run(tmp_path, tiny_run):
    with pytest.raises(UsageError, match=r"run\.json in the directory of a run.*other\.json"):
        parsed("train", "--corpus", "a", "--config", tmp_path / "other.json")
    with pytest.raises(UsageError, match="TOML"):
        parsed("sample", "--config", tiny_run.path / "run.json")


def test_a_damaged_run(tiny_run):
    (tiny_run.path / "run.json").write_text("{}")
    with pytest.raises(RunError):
        parsed("train", "--corpus", "a", "--config", tiny_run.path / "run.json")
