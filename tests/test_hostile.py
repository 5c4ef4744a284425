"""Runs that somebody sent: odd values in run.json, odd bytes in the files, files that are too large.

A command may do its work or refuse with an error that says what is wrong; nothing else may happen.
"""

import contextlib
import io
import itertools
import json
import shutil
import tracemalloc
from pathlib import Path

import click
import pytest

from lstmega.cli.main import cli
from lstmega.errors import LstmegaError, RunError
from lstmega.runs import directory, reading, schema
from lstmega.runs.run import Run

EARLIER = Path(__file__).parent / "earlier_runs"
COMMANDS = {
    "lstm": [
        ["sample", "--run", "lstm", "--length", "3", "--seed", "0"],
        ["sample", "--run", "lstm", "--length", "3", "--seed", "0", "--temps", "0.5,1", "--json"],
        ["sample", "--run", "lstm", "--length", "3", "--no-copy", "9"],
        ["evaluate", "--run", "lstm"],
        ["compare", "lstm"],
        ["inspect", "--run", "lstm", "--characters", "5"],
        ["inspect", "--run", "lstm", "--characters", "20", "--unit", "1.1", "--json"],
    ],
    "mixed": [
        ["sample", "--run", "mixed", "--length", "3", "--seed", "0"],
        ["sample", "--run", "mixed", "--length", "3", "--seed", "0", "--json"],
        ["evaluate", "--run", "mixed"],
        ["inspect", "--run", "mixed", "--characters", "5"],
    ],
    "counted": [
        ["sample", "--run", "counted", "--length", "3", "--seed", "0"],
        ["evaluate", "--run", "counted"],
        ["compare", "counted"],
        ["sample", "--run", "counted", "--mix", "none"],
    ],
    "classifier": [
        ["classify", "predict", "--run", "classifier", "Silva"],
        ["classify", "evaluate", "--run", "classifier"],
        ["sample", "--run", "classifier"],
    ],
}
OVERVIEWS = [["runs"], ["runs", "--json"], ["show"], ["show", "--json"]]
FLOATS = [1e308, -1e308, -1.0]
INTS = [2**62, -(2**62), -1, 0]
TEXTS = ["a\0b", "\x1b]0;x\x07", "\ud800", "", "../" * 500, "../a\0b", "../\ud800"]
OTHERS = [{}, [], "x", 7, 0.5, True, None]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The earlier runs, each in a directory of runs of its own, with their texts."""
    work = tmp_path_factory.mktemp("hostile")
    for name in COMMANDS:
        shutil.copytree(EARLIER, work / name / "from", ignore=shutil.ignore_patterns("runs"))
        shutil.copytree(EARLIER / "runs" / name, work / name / "from" / "runs" / name)
        (work / name / "from" / "owl.txt").exists()
    return work


@pytest.fixture
def run(place, request):
    """A whole run, with a value in every field, put back in order afterwards."""
    name = getattr(request, "param", "lstm")
    path = place / name / "from" / "runs" / name
    whole = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    content = schema.to_json(Run.open(path).record)
    content |= {"held_out_nats": 1.5, "precision": "bfloat16"}
    if name == "lstm":
        content["yardsticks"] = [{"name": "xz", "bits_per_character": 3.0}]
        content["model"]["output_dropout"] = 0.1
    elif name == "classifier":
        content["data"]["reading"] = {"label": "1", "text": ["2"], "encoding": "utf-8"}
    yield path, content
    for file in path.rglob("*"):
        if file not in whole and not file.is_dir():
            file.unlink()
    for file, old in whole.items():
        file.write_bytes(old)


def seal(path, content):
    (path / "run.json").write_bytes(schema.seal(content, directory.SCHEMA))


def command(path, *arguments):
    """Run a command in this process, and return what it prints, or the error that it raises."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            cli.main([*arguments, "--checkpoints", str(path.parent)], standalone_mode=False)
        except (LstmegaError, click.ClickException) as error:
            return error
    out.flush()
    return out.buffer.getvalue().decode("utf-8", "replace")


def attack(path, commands):
    """Run commands on a run, and return the faults of those that end in another way than they may."""
    faults = []
    for arguments in commands:
        try:
            found = command(path, *arguments)
        except Exception as error:
            faults.append((arguments, error))
        else:
            if isinstance(found, str) and "--json" not in arguments and "\x1b" in found:
                faults.append((arguments, "an escape reaches the terminal"))
    return faults


def places(content, where=()):
    """Yield the path of every value in a JSON object."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield (*where, key), value
        if isinstance(value, dict | list):
            yield from places(value, (*where, key))


def changed(content, where, value):
    copy = json.loads(json.dumps(content))
    inside = copy
    for key in where[:-1]:
        inside = inside[key]
    inside[where[-1]] = value
    return copy


def odd_values(value):
    """Return values of the same type at its ends, and values of other types, each once."""
    same = {bool: [], int: INTS, float: FLOATS, str: TEXTS}.get(type(value), [])
    if isinstance(value, list):
        same = [[], value * 2, [*value, None], [*value, [[]]]]
    if isinstance(value, dict):
        same = [value | {"x\0": "\ud800"}]
    return [*same, *(other for other in OTHERS if type(other) is not type(value) or value is None)]


@pytest.mark.parametrize("run", COMMANDS, indirect=True)
def test_every_value_of_run_json(run):
    """A value at its limits or of another type is refused by name, or the commands live with it.

    Commands take turns, because all of them on every value would take minutes.
    """
    path, content = run
    faults, accepted, turns = [], 0, itertools.cycle(COMMANDS[path.name])
    for where, value in places(content):
        for odd in odd_values(value):
            seal(path, changed(content, where, odd))
            try:
                directory.read_record(path)
            except RunError as error:
                assert str(path) in str(error)
                found = attack(path, OVERVIEWS[:1])
            else:
                accepted += 1
                found = attack(path, [*OVERVIEWS, next(turns)])
            faults += [(where, repr(odd)[:60], *fault) for fault in found]
    distinct = {(where, repr(error)): fault for fault in faults for where, *_, error in [fault]}
    assert not faults, "\n".join(map(str, distinct.values()))
    assert accepted > 50


@pytest.mark.parametrize("run", ["mixed", "counted"], indirect=True)
@pytest.mark.parametrize("odd", [b"", b"x" * 999, b"\x08" + b"\0" * 7 + b"{}      ", None])
def test_odd_bytes_in_the_ngrams(run, odd):
    """Whether run.json vouches for them or not; `None` cuts the file in the middle."""
    path, content = run
    file = path / "ngram.safetensors"
    file.write_bytes(file.read_bytes()[:5000] if odd is None else odd)
    faults = attack(path, COMMANDS[path.name])
    content["mixture"]["sha256"] = reading.digest(file.read_bytes())
    seal(path, content)
    faults += attack(path, [*OVERVIEWS, *COMMANDS[path.name]])
    assert not faults, "\n".join(map(str, faults))
    refused = str(command(path, "sample", "--run", path.name))
    assert "damaged" in refused or "holds no n-grams" in refused


HEAD = (
    "step,epoch,train_nats,validation_nats,validation_bits,learning_rate,characters_per_second,seconds\n"
)


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("samples.txt", [b"\xff\xfe\x00\x80"]),
        ("held_out.txt", [b"\xff\xfe\x00\x80"]),
        ("history.csv", [b"\xff\xfe\x00\x80"]),
        ("history.csv", [b"", b"\n", b"\0", b"a" * 200_000, HEAD.encode() + b"\0,\0"]),
        (
            "history.csv",
            [
                f"{HEAD}25,1,{a},{b},4.2,0.01,{c},1\n50,2,{b},{a},4.2,0.01,1,{c}\n".encode()
                for a, b, c in [
                    *[("1e308", "-1e308", "1"), ("nan", "inf", "1"), ("", "", ""), ("-1", "-5", "-1")],
                    *[("1e15", "-1e15", "1e15"), ("9" * 5000, "2", "3"), ("0", "0", "0")],
                ]
            ],
        ),
        (
            "history.csv",
            [
                f"{HEAD}{step},{epoch},1,2,3,0.01,1,1\n{step},{epoch},1,2,3,0.01,1,1\n".encode()
                for step, epoch in [
                    (2**62, 1),
                    (-(2**62), -1),
                    (0, 2**62),
                    ("", ""),
                    (10**15, -(10**15)),
                ]
            ],
        ),
    ],
)
@pytest.mark.parametrize("run", COMMANDS, indirect=True)
def test_odd_bytes_in_a_file_that_run_json_vouches_for(run, file, lines):
    path, content = run
    if not (path / file).exists():
        pytest.skip("a file of generators")
    faults = []
    for line in lines:
        (path / file).write_bytes(line)
        digest = reading.digest(line)
        logs = content["logs"] | ({file: digest} if file != "held_out.txt" else {})
        more = {"held_out_sha256": digest} if file == "held_out.txt" else {}
        seal(path, content | {"logs": logs} | more)
        faults += [(line[:200], *fault) for fault in attack(path, [*OVERVIEWS, *COMMANDS[path.name]])]
    assert not faults, "\n".join(map(str, faults))


def padded(path, content, size):
    """A whole run.json with a long list of numbers of versions."""
    (path / "run.json").write_bytes(b'{"versions": [' + b"0," * (size // 2) + b"0]}")


def nested(path, content, size):
    (path / "run.json").write_bytes(b"[" + b'{"":0},' * (size // 7) + b"0]")


def words(path, content, size):
    text = json.dumps({"kind": "word", "words": [str(number) for number in range(size // 9)]})
    (path / "vocabulary.json").write_text(text)


def points(path, content, size):
    text = json.dumps({"kind": "char", "has_unknown": False, "code_points": [1] * (size // 3)})
    (path / "vocabulary.json").write_text(text)


def history(path, content, size):
    lines = HEAD + "1,1,1,,,1,1,1\n" * (size // 14)
    (path / "history.csv").write_text(lines)
    seal(path, content | {"logs": {"history.csv": reading.digest(lines.encode())}})


@pytest.mark.parametrize("damage", [padded, nested, words, points, history])
@pytest.mark.parametrize("size", [8 << 20, 16_000_000, 64_000_000])
def test_a_large_file_is_refused_before_it_takes_memory(run, damage, size):
    path, content = run
    damage(path, content, size)
    tracemalloc.start()
    try:
        assert attack(path, [["show"], ["sample", "--run", "lstm", "--length", "3"]]) == []
        assert tracemalloc.get_traced_memory()[1] < 300_000_000
    finally:
        tracemalloc.stop()
