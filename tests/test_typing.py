"""The public functions for a type checker: right calls pass, misspelt ones name the argument."""

import subprocess
import sys
from pathlib import Path

import pytest

CONFIGURATION = Path(__file__).parents[1] / "pyproject.toml"
RIGHT = """
import lstmega

run = lstmega.train("x.txt", units=3, cell="gru", minutes=1, tied=True, average=0.9)
lstmega.sample(run, temperatures=[0.5], top_p=0.9, stop="x", num_samples=2)
lstmega.sample("name", typical=0.9, count=2)
classifier = lstmega.classify.train("names", pool="max", label_smoothing=0.1, init_from=run)
lstmega.evaluate(lstmega.load())
bits: float = lstmega.evaluate(run).bits_per_character
accuracy: float = lstmega.evaluate(classifier).accuracy
label: str = lstmega.classify.predict(classifier, "x")[0].label
error: type[lstmega.LstmegaError] = lstmega.UsageError
names = lstmega.load("a").vocabulary
print(classifier.record.classes, run.vocabulary.characters, lstmega.show(run), lstmega.__version__)
"""
WRONG = {
    'lstmega.train("x.txt", unts=3)': "unts",
    'lstmega.train("x.txt", cell="lsmt")': "cell",
    'lstmega.sample("run", temperature=0.5)': "temperature",
    'lstmega.sweep("run", top_q=0.5)': "top_q",
    'lstmega.classify.train("x", lines=True)': "lines",
    "lstmega.trian": "trian",
}


@pytest.mark.slow
def test_calls(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "right.py").write_text(RIGHT)
    for number, call in enumerate(WRONG):
        (tmp_path / f"wrong_{number}.py").write_text(f"import lstmega\n\n{call}\n")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        str(CONFIGURATION),
        str(tmp_path),
    ]
    done = subprocess.run([*command], capture_output=True, text=True, check=False, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert not [line for line in lines if "right.py" in line], done.stdout
    for number, name in enumerate(WRONG.values()):
        assert [line for line in lines if f"wrong_{number}.py:3" in line and f'"{name}"' in line], (
            done.stdout
        )
