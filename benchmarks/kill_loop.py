"""Kill a training again and again, and compare what it ends with to one that was left in peace.

    python benchmarks/kill_loop.py [--rounds 500] [--seed 0]

Each round starts a training of a small model in a process of its own and ends it with SIGKILL: at a
random moment, or at a chosen write, fsync, rename, mkdir or removal. The next round goes on where that
one stopped. A training that reaches its end is compared, bit by bit apart from the times, with the
uninterrupted one, and a new one is begun. A round that fails in any way but by our signal ends the loop.
"""

import argparse
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
from lstmega.data.corpus import Corpus
from lstmega.runs.run import GeneratorRun
from lstmega.training import trainer as training  # noqa: F401 - TensorFlow is imported once, before the forks
from tests.comparing import everything

TEXT = "The owl and the pussy-cat went to sea in a beautiful pea-green boat.\n" * 30
OPTIONS = {
    "preset": "tiny", "units": 8, "embedding": 4, "batch_size": 4, "sequence_length": 8, "dropout": 0.3,
    "layers": 2, "restarts": 0.1, "epochs": 4, "save_every": 2, "progress": False,
}  # fmt: skip
VARIANTS: Sequence[Mapping[str, object]] = [
    {},
    {"cell": "gru", "order": "shuffled", "schedule": "constant"},
    {"patience": 1, "learning_rate": 1e-9},
    {"validation": 0.0, "layers": 1},
]
LONGEST = 3.0  # seconds before a random kill


def train(checkpoints: Path) -> GeneratorRun:
    """Train or resume a run below `checkpoints`; the directory's number chooses the variant."""
    options = {**OPTIONS, **VARIANTS[int(checkpoints.name) % len(VARIANTS)]}
    return lstmega.train(Corpus.from_text(TEXT), checkpoints=checkpoints, run="a", **options)


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
    """Make the `call`-th write, fsync or rename of this process its last act, half done if a write."""
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


def one_round(checkpoints: Path, chance: random.Random) -> str:
    """Start or resume a training, kill it, and return how the round ended."""
    if chance.random() < 0.5:
        call = chance.randrange(120)
        process = in_child(lambda: (die_at(call), train(checkpoints)))
        kind = "killed at a write, fsync, rename, mkdir or removal"
    else:
        process = in_child(lambda: train(checkpoints))
        time.sleep(chance.uniform(0, LONGEST))
        os.kill(process, signal.SIGKILL)
        kind = "killed at a random moment"
    status = os.waitpid(process, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return kind
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        return "reached the end"
    sys.exit(f"a round ended with status {status}")


def finish(checkpoints: Path) -> None:
    """Train to the end without a kill."""
    status = os.waitpid(in_child(lambda: train(checkpoints)), 0)[1]
    if status != 0:
        sys.exit(f"an unkilled round ended with status {status}")


def compare(root: Path, current: int) -> None:
    """Compare a finished training with the uninterrupted one of its variant."""
    peace = root / "peace" / str(current % len(VARIANTS))
    if not peace.exists():
        finish(peace)
    expected = everything(GeneratorRun.open(peace / "a"))
    found = everything(GeneratorRun.open(root / str(current) / "a"))
    different = [name for name in expected if found.get(name) != expected[name]]
    if different or set(found) != set(expected):
        sys.exit(f"the run differs from the uninterrupted one: {different}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Kill, go on, compare, count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="ten rounds")
    options = parser.parse_args(arguments)
    rounds = 10 if options.check else options.rounds
    chance, counts = random.Random(options.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        current, kills = 0, 0
        while kills < rounds:
            ending = one_round(root / str(current), chance)
            counts[ending] += 1
            kills += ending != "reached the end"
            if ending == "reached the end":
                compare(root, current)
                current += 1
        finish(root / str(current))
        compare(root, current)
    for ending, count in counts.items():
        print(f"{ending}: {count}")
    print(f"kills: {kills}; trainings, each equal to the uninterrupted one: {current + 1}")


if __name__ == "__main__":
    main()
