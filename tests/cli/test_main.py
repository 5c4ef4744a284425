"""The command line as a user meets it: exit codes, messages, streams."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lstmega import api
from lstmega.cli import main as cli
from lstmega.cli import terminal
from lstmega.config.base import flag
from lstmega.config.model import GeneratorConfig
from lstmega.config.presets import PRESETS
from lstmega.config.training import TrainingConfig
from lstmega.errors import UsageError
from tests.conftest import TINY
from tests.processes import cold, lstmega

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
TRAIN = [part for name, value in TINY.items() if name != "run" for part in (flag(name), str(value))]


@pytest.fixture
def place(tiny_run):
    """A directory with `checkpoints/owl` in it."""
    return tiny_run.path.parents[1]


def commands(group=cli.cli, path=()):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


# Help.


def test_help_needs_no_tensorflow_and_little_time(tmp_path):
    code = "import sys; from lstmega.cli.main import cli; cli.main(['--help'], standalone_mode=False)"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}; sys.exit(bool({{'tensorflow', 'numpy', 'rich', 'jinja2'}} & set(sys.modules)))",
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert b"train" in done.stdout


@pytest.mark.parametrize(
    ("path", "command"),
    list(commands()),
    ids=lambda item: "-".join(item) if isinstance(item, tuple) else "",
)
def test_every_command_and_option_has_help(path, command):
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.name}"


def test_every_field_of_the_options_is_an_option():
    names = {parameter.name for parameter in cli.train.params}
    fields = {*GeneratorConfig.__dataclass_fields__, *TrainingConfig.__dataclass_fields__}
    assert fields <= names


def test_commands_stay_short():
    package = Path(cli.__file__).parent
    modules = [ast.parse(path.read_text()) for path in package.glob("*.py")]
    for function in (item for module in modules for item in module.body):
        if isinstance(function, ast.FunctionDef) and function.decorator_list:
            first, last = function.body[1:2] or function.body, function.body[-1]
            assert last.end_lineno - first[0].lineno < 15, function.name


def test_version(tmp_path):
    assert re.search(r"\d+\.\d+", lstmega("--version", cwd=tmp_path).stdout)


@pytest.mark.parametrize(
    ("arguments", "message", "command"),
    [
        (["nonsense"], "No such command 'nonsense'.", "lstmega"),
        (["sampel"], "Did you mean 'sample'?", "lstmega"),
        (["sample", "--nonsense"], "No such option '--nonsense'.", "lstmega sample"),
        (["train", "--corpus", "a", "--unit", "9"], "'--units'?", "lstmega train"),
        (["train", "--corpus", "a", "--units", "x"], "'x' is not a valid integer", "lstmega train"),
        (["train"], "Missing option '--corpus'.", "lstmega train"),
        (["sample", "--length"], "Option '--length' requires an argument.", "lstmega"),
        (["show", "a", "b"], "unexpected extra argument", "lstmega show"),
        (["classify", "predict", "--top", "0"], "0 is not in the range", "lstmega classify predict"),
    ],
)
def test_wrong_use_is_2_in_the_voice_of_other_errors(arguments, message, command, tmp_path):
    done = lstmega(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("lstmega: ")
    assert message in line
    assert line.endswith(f" See {command} --help.")
    assert "Usage:" not in line


@pytest.mark.parametrize("arguments", [[], ["corpus"], ["classify"]])
def test_a_group_alone_shows_its_help(arguments, tmp_path):
    done = lstmega(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: lstmega ")
    assert "Commands:" in done.stderr


def test_help_shows_the_defaults_of_the_kind_of_training():
    found = {
        name: {option.name: option.help for option in command.params if isinstance(option, click.Option)}
        for name, command in (("text", cli.train), ("classes", cli.classify.commands["train"]))
    }
    assert found["text"]["batch_size"].endswith("  [small: 16]")
    assert found["classes"]["batch_size"].endswith("  [char: 128, word: 64, vector: 128]")
    assert found["classes"]["units"].endswith("  [default: 128]")
    assert found["classes"]["epochs"].endswith("  [char: 20, word: 6, vector: 12]")
    assert not any("small:" in doc for doc in found["classes"].values())
    assert not found["classes"]["minutes"].endswith("]")


# Train.


@pytest.mark.slow
def test_train_then_sample(tmp_path, text):
    (tmp_path / "owl.txt").write_text(text)
    done = cold("train", "--corpus", "owl.txt", *TRAIN, "--run", "a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "checkpoints/a\n"
    first, *_ = done.stderr.splitlines()
    assert re.match(r"Training on (CPU, \d+ threads?|\d+ GPUs?): [\d,]+ parameters \(embedding", first)
    assert not CONTROL.search(done.stderr)
    assert "oneDNN" not in done.stderr
    assert "cuda" not in done.stderr.lower()
    assert lstmega("sample", "--length", 20, cwd=tmp_path).stdout.count("temperature") == 2


@pytest.mark.slow
def test_train_from_stdin(tmp_path, text):
    done = lstmega("train", "--corpus", "-", *TRAIN, cwd=tmp_path, stdin=text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("checkpoints/stdin-")


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("empty.txt", b"", [], "empty"),
        ("short.txt", b"short", [], "--batch-size"),
        ("latin1.txt", "Não é".encode("latin-1") * 99, [], "--encoding"),
        ("binary.bin", bytes(range(256)) * 99, [], "--tokens byte"),
        ("nul.txt", b"a\0b" * 99, [], "--tokens byte"),
        ("ok.txt", b"abc " * 999, ["--units", "0"], "--units must be from 1 to 8192. Received: 0"),
        ("ok.txt", b"abc " * 999, ["--dropout", "nan"], "--dropout must be a finite number"),
        ("ok.txt", b"abc " * 999, ["--epochs", "1", "--steps", "1"], "one of --epochs, --steps"),
        ("ok.txt", b"abc " * 999, ["--encoding", "klingon"], "klingon"),
        ("ok.txt", b"abc " * 999, ["--run", ":"], "--run"),
        ("ok.txt", b"abc " * 999, ["--max-vocabulary", "1"], "--max-vocabulary"),
    ],
)
def test_bad_texts_and_options(tmp_path, name, content, arguments, message):
    (tmp_path / name).write_bytes(content)
    done = lstmega("train", "--corpus", name, *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "checkpoints").exists()


def test_missing_text(tmp_path):
    done = lstmega("train", "--corpus", "nowhere.txt", cwd=tmp_path)
    assert done.returncode == 2
    assert "nowhere.txt" in done.stderr


def test_pipe_is_refused_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert lstmega("train", "--corpus", "pipe", cwd=tmp_path).returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        ("👩‍👩‍👧 e\u0301 \u05e9\u05dc\u05d5\u05dd 夢 " * 60, {}),
        ("a\r\nb\rc\n" * 60, {"keep_line_ends": True}),
        ("äöü" * 200, {"tokens": "byte"}),
        ("".join(map(chr, range(0x4E00, 0x4E00 + 1200))) * 2, {"max_vocabulary": 50}),
        ("a" * 600, {}),
    ],
    ids=["scripts", "line-ends", "bytes", "many", "one"],
)
def test_odd_texts_train_and_sample_on_any_terminal(tmp_path, content, arguments):
    (tmp_path / "odd.txt").write_bytes(content.encode())
    options = TINY | {"steps": 5, "validation": 0.2, "progress": False} | arguments
    api.train(tmp_path / "odd.txt", checkpoints=tmp_path / "checkpoints", **options)
    for encoding in ("utf-8", "ascii"):
        wrote = cold("sample", "--length", 50, cwd=tmp_path, PYTHONIOENCODING=encoding)
        assert wrote.returncode == 0, wrote.stderr
        assert not CONTROL.search(wrote.stdout)
    texts = json.loads(lstmega("sample", "--json", "--length", 50, cwd=tmp_path).stdout)
    assert len(texts) == 2


# Sample.


def test_sample_brings_no_tensorflow_and_no_templates(place):
    code = (
        "import sys; from lstmega.cli.main import cli;"
        "cli.main(['sample', '--length', '9'], standalone_mode=False);"
        "sys.exit(bool({'tensorflow', 'keras', 'jinja2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=place, check=False).returncode == 0


def test_several_temperatures_are_blocks(place):
    done = lstmega("sample", "--temps", "0.2:0.6:0.2", "--count", 2, "--length", 9, cwd=place)
    assert [float(t) for t in re.findall(r"temperature ([\d.]+)", done.stdout)] == [
        0.2,
        0.2,
        0.4,
        0.4,
        0.6,
        0.6,
    ]


def test_one_text_is_the_prompt_and_what_follows(place):
    arguments = ["--temps", "0.5", "--prompt", "The owl", "--length", 30, "--seed", 1]
    done = lstmega("sample", *arguments, cwd=place)
    assert done.stdout.startswith("The owl")
    assert len(done.stdout) == len("The owl") + 30 + 1
    assert "temperature 0.5, seed 1" in done.stderr
    [as_json] = json.loads(lstmega("sample", *arguments, "--json", cwd=place).stdout)
    assert as_json == {
        "run": "owl",
        "temperature": 0.5,
        "seed": 1,
        "prompt": "The owl",
        "text": done.stdout[len("The owl") : -1],
        "ngram_share": None,
    }


def test_prompt_from_stdin(place):
    done = lstmega("sample", "--temps", "0", "--prompt", "-", "--length", 5, cwd=place, stdin="The pea")
    assert done.stdout.startswith("The pea")


def test_excerpt_is_said_to_be_one(place):
    assert "prompt from the held-out text" in lstmega("sample", cwd=place).stdout


def test_stop(place):
    done = lstmega("sample", "--temps", "0", "--prompt", "The", "--stop", " ", cwd=place)
    assert " " not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temps", "-1"], "--temps"),
        (["--temps", "nan"], "--temps"),
        (["--temps", "inf"], "--temps"),
        (["--temps", "warm"], "--temps"),
        (["--temps", ""], "--temps"),
        (["--temps", "1:0:0.1"], "--temps"),
        (["--temps", "0,5"], "Did you mean 0.5?"),
        (["--temps", "1e30"], "--temps"),
        (["--length", "-1"], "--length"),
        (["--count", "0"], "--num-samples"),
        (["--top-k", "0"], "--top-k"),
        (["--top-p", "nan"], "--top-p"),
        (["--min-p", "2"], "--min-p"),
        (["--seed", "-1"], "--seed"),
        (["--seed", str(2**63)], f"--seed must be from 0 to {2**63 - 1}"),
        (["--top-k", str(2**64)], f"--top-k must be from 1 to {sys.maxsize}"),
        (["--stop", ""], "--stop"),
        (["--prompt", "夢Ж"], "U+5922"),
        (["--run", "cat"], "owl"),
        (["--run", "../../etc"], "no run"),
    ],
)
def test_bad_arguments(place, arguments, message):
    done = lstmega("sample", *arguments, cwd=place)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("policy", ["skip", "fold"])
def test_unknown_characters_by_policy(place, policy):
    done = lstmega("sample", "--prompt", "夢Öwl", "--unknown", policy, "--length", 5, cwd=place)
    assert done.returncode == 0


@pytest.mark.parametrize("temperature", ["0", "1e-9", "3"])
def test_extreme_temperatures(place, temperature):
    done = lstmega("sample", "--temps", temperature, "--length", 20, "--top-k", 10**9, cwd=place)
    assert done.returncode == 0
    assert done.stdout


def test_length_0_writes_the_prompt_alone(place):
    done = lstmega("sample", "--temps", "0.5", "--prompt", "The", "--length", 0, cwd=place)
    assert done.stdout == "The\n"


def test_a_reader_that_leaves_is_no_error(place):
    command = f"{sys.executable} -m lstmega sample --temps 0.5 --length 1000000000 | head -c 50"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=place,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count(b"\n"), len(done.stdout)) == (0, 1, 50)


def test_interrupt_ends_an_endless_text_with_130(place):
    arguments = ["sample", "--temps", "0.5", "--length", "1000000000"]
    command = [sys.executable, "-m", "lstmega", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=place, **pipes) as process:
        process.stdout.read(200)
        process.send_signal(2)
        assert b"Traceback" not in process.communicate(timeout=30)[1]
    assert process.returncode == 130


# Runs.


def test_runs_and_show(place):
    assert "owl" in lstmega("runs", cwd=place).stdout
    [row] = json.loads(lstmega("runs", "--json", cwd=place).stdout)
    assert row["status"] == "finished"
    shown = lstmega("show", "owl", cwd=place).stdout
    assert "bits/char" in shown
    assert json.loads(lstmega("show", "--json", cwd=place).stdout)["step"] == 60


def test_evaluate(place):
    done = lstmega("evaluate", "--html", "page.html", cwd=place)
    assert "this model" in done.stdout and "Kneser-Ney" in done.stdout
    assert "page.html" in done.stderr
    assert (place / "page.html").read_text().startswith("<!doctype html>")
    content = json.loads(lstmega("evaluate", "--protocol", "window", "--json", cwd=place).stdout)
    assert (content["protocol"], content["window"]) == ("window", 64)
    (place / "other.txt").write_text("the owl and \u4e00")
    found = lstmega("evaluate", "--text", "other.txt", "--unknown", "skip", cwd=place).stdout
    assert "1 characters that the run does not know were left out" in found


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--window", "0", "--protocol", "window"], 2, "--window must be at least 1"),
        (["--text", "missing.txt"], 2, "missing.txt"),
        (["--dynamic", "0.1", "--protocol", "window"], 2, "--dynamic needs --protocol stream"),
        (["--dynamic", "--protocol", "window"], 2, "--dynamic needs --protocol stream"),
        (["--dynamic", "0"], 2, "--dynamic must be above 0"),
        (["--run", "nobody"], 2, "There is no run 'nobody'"),
        (["--html", "no/such/directory/x.html"], 2, "no/such/directory"),
        (["--html", ""], 2, "--html must be a file"),
        (["--html", "/"], 2, "--html must be a file"),
        (["--html", "-", "--json"], 2, "--html -, and --json"),
    ],
)
def test_evaluate_refuses(place, arguments, code, message):
    done = lstmega("evaluate", *arguments, cwd=place)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


@pytest.mark.parametrize("name", ["checkpoints/owl/run.json", "checkpoints/owl/held_out.txt", "link"])
@pytest.mark.parametrize("command", [["evaluate"], ["inspect"], ["sweep"]])
def test_a_page_replaces_no_other_file(place, command, name):
    (place / "link").symlink_to("checkpoints/owl/held_out.txt")
    before = (place / name).read_bytes()
    done = lstmega(*command, "--html", name, "--run", "nobody", cwd=place)  # before the run is opened
    assert (done.returncode, done.stdout) == (2, "")
    assert "--html replaces only" in done.stderr
    assert (place / name).read_bytes() == before


def test_a_page_by_force_and_on_stdout(place):
    (place / "notes.html").write_text("notes")
    done = lstmega("evaluate", "--html", "notes.html", "--force", cwd=place)
    assert (done.returncode, "this model" in done.stdout) == (0, True)
    done = lstmega("evaluate", "--html", "-", cwd=place)
    assert done.stdout == (place / "notes.html").read_text()


def test_inspect_refuses_no_characters(place):
    done = lstmega("inspect", "--characters", "0", cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--characters must be from 2" in done.stderr


def test_compare(place):
    assert "stream bits" in lstmega("compare", "owl", "owl", cwd=place).stdout
    assert len(json.loads(lstmega("compare", "owl", "--json", cwd=place).stdout)) == 1


def test_no_runs_says_how_to_train(tmp_path):
    done = lstmega("runs", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "lstmega train" in done.stderr
    assert lstmega("sample", cwd=tmp_path).returncode == 2


def test_a_damaged_run_is_1(place):
    (place / "checkpoints/owl/run.json").write_text("{")
    done = lstmega("sample", cwd=place)
    assert done.returncode == 1
    assert "run.json" in done.stderr


# What nobody expected.


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(place, closed):
    command = f"{sys.executable} -m lstmega sample --length 9 --temps 0.5 --prompt - {closed}"
    done = subprocess.run(["bash", "-c", command], cwd=place, capture_output=True, input=b"The")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"The") is (closed == "2>&-")
    assert b"Traceback" not in done.stderr


def test_a_result_that_cannot_be_written_is_told(place):
    command = f"{sys.executable} -m lstmega runs >/dev/full"
    done = subprocess.run(["bash", "-c", command], cwd=place, capture_output=True)
    assert done.returncode == 1
    [line] = done.stderr.decode().splitlines()
    assert "No space left on device. Accepted: " in line
    assert "Errno" not in line


def ended(monkeypatch, capsys, error, debug="0"):
    """Return exit code and stderr of `lstmega runs`, inside of which an error is raised."""

    def fail(_):
        raise error

    monkeypatch.setattr("lstmega.runs.report.overview", fail)
    monkeypatch.setenv("LSTMEGA_DEBUG", debug)
    with pytest.raises(SystemExit) as caught:
        cli.main(["runs"])
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("a\nb \x1b[31m"), KeyError("x"), RecursionError()])
def test_an_unforeseen_error_is_one_line_that_asks_for_a_report(monkeypatch, capsys, error):
    code, said = ended(monkeypatch, capsys, error)
    assert code == 1
    [line] = said.splitlines()
    assert type(error).__name__ in line and "runs.py:" in line and "Please report it" in line
    assert not CONTROL.search(line)


def test_the_traceback_is_there_where_it_is_asked_for(monkeypatch, capsys):
    _, said = ended(monkeypatch, capsys, ValueError("x"), debug="1")
    assert "Traceback" in said and said.count("\nlstmega: ") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "a/run.json"), "lstmega: a/run.json cannot be used."),
        (
            PermissionError(13, "Permission denied", "a"),
            "Received: Permission denied. Accepted: a place",
        ),
        (OSError(36, "File name too long", "a"), "Accepted: a shorter name."),
        (OSError(5, "Input/output error"), "A file or a stream cannot be used."),
        (MemoryError(), "more memory than there is"),
    ],
)
def test_errors_of_the_system_name_the_file_and_no_number(monkeypatch, capsys, error, said):
    code, line = ended(monkeypatch, capsys, error)
    assert code == 1
    assert said in line and "Errno" not in line


def test_too_little_memory_for_tensorflow_is_one_sentence(tmp_path, text):
    (tmp_path / "owl.txt").write_text(text)
    command = f"ulimit -v 800000; {sys.executable} -m lstmega train --corpus owl.txt {' '.join(TRAIN)}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("lstmega: TensorFlow could not be imported. Received: ")
    assert {item.name for item in tmp_path.rglob("*")} <= {"owl.txt", "checkpoints"}, "a lock was left"


def test_tensorboard_without_tensorboard_is_told_before_the_training(tmp_path, text, monkeypatch):
    class TensorBoard:
        """As Keras' callback is named."""

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (tmp_path / "owl.txt").write_text(text)
    with pytest.raises(UsageError, match=r"needs the package tensorboard.*Accepted: pip install"):
        options = TINY | {"callbacks": [TensorBoard()], "progress": False}
        api.train(tmp_path / "owl.txt", checkpoints=tmp_path / "checkpoints", **options)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--text", ""],
        ["sample", "--run", "x" * 300],
        ["train", "--corpus", ""],
        ["runs", "--checkpoints", ""],
        ["inspect", "--text", "y" * 256],
    ],
)
def test_names_that_no_file_has_are_refused_by_their_option(place, arguments):
    done = lstmega(*arguments, cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"'{arguments[1]}': A name of a file or a run is needed. Received: " in done.stderr
    assert "Errno" not in done.stderr


# Terminals.


def test_escapes_in_names_and_texts_stay_off_the_terminal(place):
    odd = "a\x1b[31mb\u202e\x9b"
    (place / "checkpoints/owl").rename(place / "checkpoints" / odd)
    for arguments in (
        ["sample", "--temps", "0.5,0.8", "--length", 5],
        ["sample", "--temps", "0.5", "--length", 5],
        ["sample", "--temps", "0.5", "--length", 5, "--json"],
        ["runs"],
        ["runs", "--json"],
        ["show"],
        ["show", "--json"],
        ["evaluate"],
        ["compare", odd],
    ):
        done = lstmega(*arguments, cwd=place)
        assert done.returncode == 0, done.stderr
        assert not re.search("[\x1b\x9b\u202e]", done.stdout + done.stderr), arguments
        if "--json" in arguments:
            assert odd in json.dumps(json.loads(done.stdout), ensure_ascii=False).replace(
                "\\u001b", "\x1b"
            )


def test_the_path_of_a_run_is_plain_on_a_terminal_and_exact_in_a_pipe(monkeypatch, capsys):
    for is_one, shown in ((True, "a\\x1bb\n"), (False, "a\x1bb\n")):
        monkeypatch.setattr(terminal, "is_one", lambda _, found=is_one: found)
        terminal.path(Path("a\x1bb"))
        assert capsys.readouterr().out == shown


# Corpus.


def test_corpus_list(tmp_path):
    assert "tinyshakespeare" in lstmega("corpus", "list", cwd=tmp_path).stdout
    assert len(json.loads(lstmega("corpus", "list", "--json", cwd=tmp_path).stdout)) == 3


def test_corpus_info(tmp_path):
    (tmp_path / "a.txt").write_bytes("é\r\n".encode("utf-16"))
    shown = lstmega("corpus", "info", "a.txt", cwd=tmp_path).stdout
    assert "utf-16" in shown
    facts = json.loads(lstmega("corpus", "info", "a.txt", "--json", cwd=tmp_path).stdout)
    assert facts["characters"] == 2


def test_unknown_corpus_lists_the_names(tmp_path):
    done = lstmega("corpus", "fetch", "nothing", cwd=tmp_path)
    assert done.returncode == 2
    assert "nietzsche" in done.stderr


def test_presets_are_told(tmp_path):
    assert all(name in lstmega("train", "--help", cwd=tmp_path).stdout for name in PRESETS)
