"""The README is executed: its Python as it stands, its command lines through the parser."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

import lstmega
from lstmega.cli import main as cli
from tests import processes

README = (Path(__file__).parents[1] / "README.md").read_text()
LINES = re.findall(r"^(?:\.venv/bin/)?lstmega ([^#\n]+)", README, re.MULTILINE)


def test_there_are_commands():
    assert len(LINES) > 15


@pytest.mark.parametrize("line", LINES)
def test_command_lines_parse(line):
    command, arguments = cli.cli, shlex.split(line)
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context("lstmega", arguments)


def test_every_command_is_in_the_readme():
    named = {line.split()[0] for line in LINES}
    assert named == set(cli.cli.commands)


@pytest.mark.slow
def test_python_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    """Line by line, with fewer steps."""
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert 'preset="tiny"' in code
    code = code.replace('preset="tiny"', 'preset="tiny", steps=60')
    names = {}
    exec(code, names)  # the README's own lines
    assert names["run"].record.status == "finished"
    assert len(capsys.readouterr().out) >= 200


@pytest.mark.slow
def test_the_classifier_of_numbers_is_made_of_what_everybody_has(tmp_path):
    """The shell's line as it stands, then the commands."""
    [line] = re.findall(r"^for n in .* > numbers.csv$", README, re.MULTILINE)
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    [training, predicting] = [shlex.split(one) for one in LINES if "--run numbers" in one]
    assert processes.lstmega(*training, cwd=tmp_path).returncode == 0
    found = processes.lstmega(*predicting, cwd=tmp_path).stdout.splitlines()
    assert [line.split()[:2] for line in found] == [["1234", "even"], ["777", "odd"]]


def test_the_map_names_what_exists():
    package = Path(lstmega.__file__).parent
    rows = re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \|", README.split("## Where things are")[1], re.MULTILINE
    )
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert names
    assert all((package / name).is_dir() or (package / f"{name}.py").is_file() for name in names)
