"""Kill a training again and again, and compare what it ends with to one that was left in peace.

    python benchmarks/kill_loop.py [--rounds 500] [--seed 0]

Each round starts a training of a small model in a process of its own and ends it with SIGKILL: at a
random moment, or at a chosen write, fsync, rename, mkdir or removal. The next round goes on where that
one stopped. A training that reaches its end is compared, bit by bit apart from the times, with the
uninterrupted one, and another of the kinds in `KINDS` is begun. One of `--minutes` is compared with one
that follows its plans: its weights and its held-out losses. A round that fails in any way but by our
signal ends the loop.
"""

import argparse
import functools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tests`, which is not installed

import lstmega
from lstmega import classify
from lstmega.data.corpus import Corpus
from lstmega.runs.run import Run
from lstmega.training import trainer as training
from tests.comparing import everything

TEXT = "The owl and the pussy-cat went to sea in a beautiful pea-green boat.\n" * 30
NAMES = "".join(
    f"{name},{kind}\n" for name, kind in [("owl", "bird"), ("cat", "beast"), ("hen", "bird")] * 20
)
OPTIONS = {
    "units": 8, "embedding": 4, "batch_size": 4, "sequence_length": 8, "dropout": 0.3, "epochs": 4,
    "save_every": 2, "progress": False, "run": "a",
}  # fmt: skip
KINDS: Mapping[str, Mapping[str, object]] = {
    "lanes": {"layers": 2, "restarts": 0.1},
    "shuffled": {"cell": "gru", "order": "shuffled", "schedule": "constant"},
    "patience": {"patience": 1, "learning_rate": 1e-9},
    "nothing held out": {"validation": 0.0},
    "windows": {"order": "windows", "stride": 7, "optimizer": "rmsprop", "one_hot": True, "hidden": 5},
    "lines": {"lines": True, "keep": "2"},
    "average": {"ema_decay": 0.9, "weight_decay": 0.1, "weight_drop": 0.3},
    "deep": {
        "cell": "rnn",
        "layers": 3,
        "tied": True,
        "residual": True,
        "layer_norm": True,
        "variational": True,
    },
    "warm start": {"init_from": "first"},
    "minutes": {"epochs": None, "minutes": 0.05, "save_every": 50},
    "mixture": {"epochs": None, "steps": 40},
    "classifier": {"label": "2", "epochs": 3},
}
LONGEST = 8.0  # seconds before a random kill


def train(root: Path, kind: str, place: Path, **changes: object) -> Run:
    """Train or resume the run `a` of a kind in the directory `place`; `root` has the data."""
    options = {**OPTIONS, "checkpoints": place, **KINDS[kind], **changes}
    if kind == "classifier":
        return classify.train(root / "names.csv", **options)  # type: ignore[arg-type]
    if "init_from" in options:
        options["init_from"] = root / "first"
    text = TEXT * 6 if kind == "mixture" else TEXT  # enough is held out to mix the models
    return lstmega.train(Corpus.from_text(text), preset="tiny", **options)  # type: ignore[arg-type]


def in_child(work: Callable[[], object]) -> int:
    """Fork, do the work in the child, and return the child's process number."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            print(f"round failed: {error!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return process


def die_at(call: int) -> None:
    """Make the `call`-th change of a file of this process its last act, half done if it is a write."""
    calls = iter(range(call))

    def counted(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **options: object) -> object:
            if next(calls, None) is None:
                if name == "write_bytes":
                    path, content = arguments
                    function(path, bytes(content)[: len(bytes(content)) // 2])  # type: ignore[call-overload]
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return wrapped

    os.fsync = counted("fsync", os.fsync)
    os.replace = counted("replace", os.replace)
    os.mkdir = counted("mkdir", os.mkdir)
    os.unlink = counted("unlink", os.unlink)
    shutil.rmtree = counted("rmtree", shutil.rmtree)  # type: ignore[assignment]
    Path.write_bytes = counted("write_bytes", Path.write_bytes)  # type: ignore[method-assign]


def one_round(work: Callable[[], object], chance: random.Random) -> str:
    """Start or resume a training, kill it, and return how the round ended."""
    if chance.random() < 0.5:
        call = chance.randrange(120)
        process = in_child(lambda: (die_at(call), work()))
        ending = "killed at a write, fsync, rename, mkdir or removal"
    else:
        process = in_child(work)
        time.sleep(chance.uniform(0, LONGEST))
        os.kill(process, signal.SIGKILL)
        ending = "killed at a random moment"
    status = os.waitpid(process, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return ending
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        return "reached the end"
    sys.exit(f"a round ended with status {status}")


def follow(run: Run) -> None:
    """Make this process follow the plans of a run of `--minutes`."""
    total, earlier = run.record.total_steps or 0, run.record.replanned
    if earlier:
        training._Loop._planned = lambda loop: loop._schedule(total, earlier)  # type: ignore[method-assign]


def finish(work: Callable[[], object]) -> None:
    """Train to the end without a kill."""
    status = os.waitpid(in_child(work), 0)[1]
    if status != 0:
        sys.exit(f"an unkilled round ended with status {status}")


def compare(root: Path, kind: str, place: Path) -> None:
    """Compare a finished training with an uninterrupted one of its kind."""
    run = lstmega.load(place / "a")
    peace, changes = root / f"peace-{kind}", {}
    if kind == "minutes":  # each plans its own numbers of steps
        changes = {"minutes": None, "steps": run.record.total_steps}
        shutil.rmtree(peace, ignore_errors=True)
    if not peace.exists():
        finish(lambda: (follow(run), train(root, kind, peace, **changes)))
    expected, found = everything(lstmega.load(peace / "a")), everything(run)
    if kind == "minutes":
        expected, found = (
            {name: part for name, part in parts.items() if isinstance(part, bytes)}
            | {"losses": [row.validation_nats for row in parts["history"]]}
            for parts in (expected, found)
        )
    different = {name for name in expected | found if found.get(name) != expected.get(name)}
    if different:
        sys.exit(f"the run of kind {kind} differs from the uninterrupted one: {different}")


def kill_and_compare(root: Path, rounds: int, chance: random.Random) -> tuple[Counter[str], int]:
    """Kill `rounds` times, and return how rounds ended, and how many trainings were compared."""
    (root / "names.csv").write_text(NAMES)
    finish(lambda: train(root, "lanes", root, run="first", layers=1))
    counts, done, kills = Counter[str](), 0, 0
    while True:
        kind, place = list(KINDS)[done % len(KINDS)], root / str(done)
        work = functools.partial(train, root, kind, place)
        if kills < rounds:
            ending = one_round(work, chance)
            counts[ending] += 1
        else:
            finish(work)
            ending = "reached the end"
        if ending != "reached the end":
            kills += 1
            continue
        compare(root, kind, place)
        done += 1
        if kills == rounds:
            break
    return counts, done


def main(arguments: Sequence[str] | None = None) -> None:
    """Kill, go on, compare, count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="ten rounds")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        rounds = 10 if options.check else options.rounds
        counts, done = kill_and_compare(Path(directory), rounds, random.Random(options.seed))
    for ending, count in counts.items():
        print(f"{ending}: {count}")
    print(f"trainings, each equal to the uninterrupted one: {done} of {min(done, len(KINDS))} kinds")


if __name__ == "__main__":
    main()
