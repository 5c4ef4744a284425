"""Faults that happen for real: signals, full disks, second trainings, damaged and hostile runs."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lstmega
from lstmega import files
from lstmega.data.labelled import Labelled
from lstmega.errors import LstmegaError, RunError
from lstmega.runs import report as reports
from lstmega.runs import schema
from lstmega.runs import state as states
from lstmega.runs.run import GeneratorRun
from tests import processes
from tests.comparing import everything
from tests.conftest import TINY, reseal
from tests.processes import Process

REPOSITORY = Path(__file__).parents[1]
TEXT = "The owl and the pussy-cat went to sea in a beautiful pea-green boat.\n" * 40
OPTIONS = [
    *("--preset", "tiny", "--units", "8", "--embedding", "4", "--batch-size", "4"),
    *("--sequence-length", "8", "--dropout", "0.3", "--run", "a"),
]
LONG, SHORT = ["--epochs", "1000"], ["--epochs", "3"]
EPOCH = 77  # steps


def start(place, *options, **more):
    (place / "owl.txt").write_text(TEXT)
    return Process("train", "--corpus", "owl.txt", *OPTIONS, *options, cwd=place, **more)


def finish(place, *options, **more):
    with start(place, *options, **more) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_for_state(place, process, step=1):
    directory, deadline = place / "checkpoints/a/state", time.monotonic() + 60
    while all(int(path.name[5:]) < step for path in states.paths(directory)):
        assert process.poll() is None, process.errors()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def peace(tmp_path_factory):
    """A run that nothing happened to."""
    place = tmp_path_factory.mktemp("peace")
    code, _, err = finish(place, *SHORT)
    assert code == 0, err
    return GeneratorRun.open(place / "checkpoints/a")


# Signals.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_and_the_same_command_goes_on(tmp_path, peace, number, code):
    with start(tmp_path, *SHORT, "--save-every", "5") as process:
        wait_for_state(tmp_path, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert signal.Signals(number).name in err
    run = GeneratorRun.open(tmp_path / "checkpoints/a")
    assert run.record.status == "stopped"
    assert 0 < int(states.paths(run.states)[0].name[5:]) < 3 * EPOCH
    code, out, err = finish(tmp_path, *SHORT)
    assert (code, out) == (0, "checkpoints/a\n"), err
    assert "Resuming from step" in err
    assert everything(GeneratorRun.open(tmp_path / "checkpoints/a")) == everything(peace)


@pytest.mark.slow
def test_a_second_training_in_the_directory_is_refused_with_the_holders_number(tmp_path):
    with start(tmp_path, *LONG) as first:
        wait_for_state(tmp_path, first)
        code, _, err = finish(tmp_path, *LONG)
        assert code == 1
        assert f"process {first.pid}" in err
        first.kill()


# Disks.


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_there(tmp_path):
    """No file may grow above a size: as on a full disk, the state does not fit any more."""
    wide = ["--units", "64", "--epochs", "2", "--save-every", "20"]
    with start(tmp_path, *wide) as process:
        wait_for_state(tmp_path, process, step=20)
        process.kill()
    run = GeneratorRun.open(tmp_path / "checkpoints/a")
    before = {path: path.read_bytes() for path in sorted(run.states.rglob("*")) if path.is_file()}
    code, _, err = finish(tmp_path, *wide, before=limit_files)
    assert code == 1
    assert "File too large" in err
    assert "Traceback" not in err
    assert not list((tmp_path / "checkpoints").rglob(".tmp-*"))
    assert {
        path: path.read_bytes() for path in sorted(run.states.rglob("*")) if path.is_file()
    } == before
    assert finish(tmp_path, *wide)[0] == 0  # with room again, it goes on
    in_peace = tmp_path / "peace"
    in_peace.mkdir()
    assert finish(in_peace, *wide)[0] == 0
    assert everything(GeneratorRun.open(run.path)) == everything(
        GeneratorRun.open(in_peace / "checkpoints/a")
    )


@pytest.mark.slow
def test_a_path_that_is_a_file(tmp_path):
    (tmp_path / "checkpoints").write_text("mine")
    code, _, err = finish(tmp_path, *SHORT)
    assert code in (1, 2)
    assert "checkpoints" in err
    assert "Traceback" not in err
    assert (tmp_path / "checkpoints").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory(tmp_path):
    (tmp_path / "checkpoints").mkdir(mode=0o500)
    code, _, err = finish(tmp_path, *SHORT)
    assert code == 1
    assert "Permission denied" in err


# Damage.


def go_on(peace, place, damage):
    """Damage a copy of a run whose last epoch is missing, train on, and return (run, stderr)."""
    path = shutil.copytree(peace.path, place / "checkpoints/a")
    GeneratorRun.open(path).update(status="running")
    newest, older = states.paths(path / "state")
    damage(newest, older)
    code, _, err = finish(place, *SHORT)
    assert code == 0, err
    return GeneratorRun.open(path), err


@pytest.mark.slow
@pytest.mark.parametrize("file", ["state.json", "arrays.safetensors"])
def test_a_damaged_state_falls_back_to_the_one_before_and_says_so(peace, tmp_path, file):
    def damage(newest, _):
        content = bytearray((newest / file).read_bytes())
        content[len(content) // 2] ^= 16
        (newest / file).write_bytes(content)

    run, err = go_on(peace, tmp_path, damage)
    assert "Falling back to the previous state" in err
    assert everything(run) == everything(peace)


@pytest.mark.slow
def test_a_file_where_the_newest_state_was_falls_back_too(peace, tmp_path):
    def damage(newest, _):
        shutil.rmtree(newest)
        newest.write_text("a file")

    run, err = go_on(peace, tmp_path, damage)
    assert "cannot be read: Not a directory. Falling back to the previous state" in err
    assert everything(run) == everything(peace)


@pytest.mark.slow
def test_without_any_whole_state_nothing_is_changed(peace, tmp_path):
    """Good weights are not given up for a silent start from step 0."""
    path = shutil.copytree(peace.path, tmp_path / "checkpoints/a")
    run = GeneratorRun.open(path)
    run.update(status="running")
    for state in states.paths(run.states):
        (state / "arrays.safetensors").unlink()
    code, _, err = finish(tmp_path, *SHORT)
    assert code == 1
    assert "No state of" in err
    assert "--init-from" in err
    after = GeneratorRun.open(path)
    assert after.record.weights == run.record.weights
    assert len(states.paths(run.states)) == 2


@pytest.mark.slow
def test_a_newer_state_is_refused_not_passed_over(peace, tmp_path):
    run = GeneratorRun.open(shutil.copytree(peace.path, tmp_path / "checkpoints/a"))
    run.update(status="running")
    path = states.paths(run.states)[0] / "state.json"
    content = json.loads(path.read_bytes())
    del content["schema"], content["sha256"]
    path.write_bytes(schema.seal(content, 9))
    code, _, err = finish(tmp_path, *SHORT)
    assert code == 1
    assert "schema 9" in err


@pytest.mark.slow
def test_small_files_are_healed_and_lost_weights_are_told(peace, tmp_path):
    def damage(newest, _):
        run = GeneratorRun.open(newest.parents[1])
        (run.path / "vocabulary.json").write_bytes(b"{")
        (run.path / "held_out.txt").unlink()
        (run.path / "history.csv").write_text("nonsense")
        run.weights_path(run.record.weights[0].file).write_bytes(b"")

    run, err = go_on(peace, tmp_path, damage)
    assert "was dropped" in err
    assert len(run.record.weights) == len(peace.record.weights) - 1
    assert len(run.history()) == len(peace.history())
    assert len(lstmega.sample(run, length=5)[0].text) == 5


@pytest.mark.slow
def test_leftovers_of_a_killed_writer_are_removed(peace, tmp_path):
    def damage(newest, _):
        run = newest.parents[1]
        shutil.copytree(newest, newest.with_name(".tmp-1-step-00000300"))
        (run / ".tmp-1-run.json").write_bytes(b"{")
        (run / "weights/.tmp-1-epoch-009.weights.h5").write_bytes(b"")
        shutil.rmtree(newest)

    run, _ = go_on(peace, tmp_path, damage)
    assert not list(run.path.rglob(".tmp-*"))


def test_a_killed_beginning_is_begun_again(tmp_path):
    path = tmp_path / "checkpoints/a"
    (path / "weights").mkdir(parents=True)
    (path / "vocabulary.json").write_bytes(b"{")
    (path / ".tmp-1-held_out.txt").write_bytes(b"")
    (path / "weights" / ".tmp-1-a.weights.h5").write_bytes(b"")
    text = lstmega.Corpus.from_text(TEXT)
    small = {"units": 4, "embedding": 3, "batch_size": 4, "sequence_length": 8, "steps": 2}
    run = lstmega.train(text, run=path, preset="tiny", progress=False, **small)
    assert run.record.status == "finished"
    assert not list(path.rglob(".tmp-*"))


def test_files_of_another_kind_of_run_do_not_stay(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "held_out.txt").write_text("of a generator")
    rows = [np.zeros((2, 3), np.float32)] * 8
    data = Labelled("points", "vectors", rows, tuple("ab" * 4))
    small = {"units": 2, "batch_size": 4, "steps": 1, "split": "random"}
    lstmega.classify.train(data, run=tmp_path / "a", progress=False, **small)
    assert not (tmp_path / "a" / "held_out.txt").exists()


# Nothing is written over.


@pytest.mark.slow
def test_files_are_only_created_and_renamed(tmp_path):
    """An audit hook sees every file that is opened for writing: only temporaries, lock apart."""
    (tmp_path / "owl.txt").write_text(TEXT)
    code = """
import os, sys
written = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and "checkpoints" in arguments[0]:
        mode, flags = arguments[1] or "", arguments[2] or 0
        if set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR):
            written.append(arguments[0])
sys.addaudithook(hook)
sys.argv = ["lstmega", *sys.argv[1:]]
from lstmega.cli.main import main
try:
    main()
finally:
    bad = [p for p in written if "/.tmp-" not in p and not p.endswith(".lock")]
    print("written:", len(written), "bad:", bad)
"""
    arguments = ["train", "--corpus", "owl.txt", *OPTIONS, *SHORT, "--save-every", "40"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bad: []" in done.stdout
    assert int(done.stdout.split("written:")[1].split()[0]) > 20


# A run that somebody sent.


READERS = [
    lambda path: lstmega.sample(GeneratorRun.open(path), length=5, seed=0, prompt="The ").to_dicts(),
    lambda path: lstmega.sample(GeneratorRun.open(path), length=5, seed=0).to_dicts(),
    lambda path: reports.report(GeneratorRun.open(path)),
    lambda path: reports.card(GeneratorRun.open(path)),
    lambda path: reports.as_json(GeneratorRun.open(path)) | {"path": ""},
]
FILES = ["run.json", "vocabulary.json", "held_out.txt", "weights", "history.csv", "samples.txt"]


def read_all(path):
    """Everything that `sample` and `show` make of a run."""
    return [reader(path) for reader in READERS]


@pytest.fixture(scope="module")
def good(tiny_run_directory):
    return read_all(tiny_run_directory)


def file_of(run, name):
    return run.weights_path(run.record.best.file) if name == "weights" else run.path / name


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_found_or_harmless(tiny_run, good, name, data):
    path = file_of(tiny_run, name)
    whole = path.read_bytes()
    content = bytearray(whole)
    match data.draw(st.sampled_from(["flip", "truncate", "insert", "empty"])):
        case "flip":
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        case "truncate":
            del content[data.draw(st.integers(0, len(content) - 1)) :]
        case "insert":
            place = data.draw(st.integers(0, len(content)))
            content[place:place] = data.draw(st.binary(min_size=1, max_size=9))
        case "empty":
            content.clear()
    path.write_bytes(content)
    try:
        assert read_all(tiny_run.path) == good
    except LstmegaError as error:
        assert path.name in str(error)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_not_followed(tiny_run, name, tmp_path):
    path = file_of(tiny_run, name)
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError):
        read_all(tiny_run.path)


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tiny_run, name):
    path = file_of(tiny_run, name)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunError):
        read_all(tiny_run.path)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"cell": "lstm", "units": 8192, "layers": 8, "embedding": 8192, "dropout": 0.0}},
        {"model": {"cell": "lstm", "units": 10**12, "layers": 1, "embedding": 4, "dropout": 0.0}},
        {"vocabulary_size": 1_200_000},
        {"vocabulary_size": -1},
        {"vocabulary_size": 10**30},
        {"held_out_characters": 10**18, "held_out_sha256": "0" * 64},
        {"best": {"file": "../run.json", "sha256": "0", "step": 1, "epoch": 1, "nats": 1.0}},
        {"best": {"file": "/etc/passwd", "sha256": "0", "step": 1, "epoch": 1, "nats": 1.0}},
        {"best": None},
        {"seconds": 10**400},
        {"vocabulary_size": 10**4299},
        {"text": {"name": "x", "tokens": "zzz"}},
    ],
)
def test_hostile_records_are_refused_without_allocating(tiny_run, changes):
    reseal(tiny_run, **changes)
    tracemalloc.start()  # NumPy's arrays are traced too
    try:
        with pytest.raises(RunError):
            read_all(tiny_run.path)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def resend_weights(run, change):
    """Change the weights, and the hashes that vouch for them."""
    path = file_of(run, "weights")
    with h5py.File(path, "r+") as file:
        change(file["layers/dense/vars/1"])
    best = json.loads((run.path / "run.json").read_bytes())["best"]
    reseal(run, best=best | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_weights_that_no_training_makes_are_refused(tiny_run, value):
    resend_weights(tiny_run, lambda array: array.write_direct(np.full(array.shape, value, np.float32)))
    with pytest.raises(RunError):
        read_all(tiny_run.path)


def test_the_largest_weights_still_write(tiny_run):
    resend_weights(tiny_run, lambda array: array.write_direct(np.full(array.shape, 1e6, np.float32)))
    assert len(lstmega.sample(tiny_run.path, length=5)[0].text) == 5


def test_control_characters_in_a_record_reach_no_terminal(tiny_run):
    reseal(tiny_run, device="\x1b[2J", preset="\x1b]0;x\x07")
    for arguments in (["show", "owl"], ["runs"]):
        done = processes.lstmega(*arguments, cwd=tiny_run.path.parents[1])
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout


@pytest.mark.parametrize("name", [".lock", "weights", "state"])
def test_links_in_a_sent_run_are_not_written_through(tiny_run, tmp_path, name, text):
    mine = tmp_path / "mine"
    if name == ".lock":
        mine.write_text("precious")
    else:
        shutil.copytree(tiny_run.path / name, mine)
    files.remove(tiny_run.path / name)
    (tiny_run.path / name).symlink_to(mine)
    before = sorted(mine.rglob("*")) if mine.is_dir() else mine.read_text()
    with pytest.raises((LstmegaError, OSError)):
        lstmega.train(
            lstmega.Corpus.from_text(text, name="owl"),
            checkpoints=tiny_run.path.parent,
            **TINY | {"steps": 80},
            progress=False,
        )
    assert (sorted(mine.rglob("*")) if mine.is_dir() else mine.read_text()) == before


@pytest.mark.slow
def test_a_dead_terminal_does_not_stop_a_training(tmp_path):
    """As under nohup: SIGHUP is ignored, and stderr is a terminal that goes away."""
    master, slave = os.openpty()
    with start(tmp_path, *SHORT, "--save-every", "5", stderr=slave, before=ignore_hangups) as process:
        os.close(slave)
        reader = threading.Thread(target=lambda: [None for _ in iter(lambda: read_some(master), b"")])
        reader.daemon = True
        reader.start()
        wait_for_state(tmp_path, process)
        os.close(master)
        assert process.wait(60) == 0
    assert GeneratorRun.open(tmp_path / "checkpoints/a").record.status == "finished"


def ignore_hangups():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def read_some(descriptor):
    try:
        return os.read(descriptor, 1000)
    except OSError:
        return b""
