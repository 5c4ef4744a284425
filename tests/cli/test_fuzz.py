"""Drawn command lines, in this process: a command ends in the way that is promised."""

import io
import random
import re
import sys
from types import SimpleNamespace

import click
import pytest

from lstmega import arguments
from lstmega.cli import main as cli

DRAWS, BLOCKS = 200, 8
CODES = {0, 1, 2, 130, 143}
EVIL = [
    "",
    "\x1b[31m",
    "\udcff",
    "\u202e",
    "a/b",
    ".",
    "-",
    "x" * 300,
    "%s",
    "{}",
    "[red]",
    "夢",
]
NUMBERS = ["1", "0", "3", "-1", "1e3", "0.5", "nan", "inf", str(2**31), str(2**64), "", "x", "0,5"]
VALUES = {  # the first is good; no directory above this one, whose texts would all be read
    "temps": ["0.5", "0,5", "0.5,0.8", "0", "4", "0.2:0.4:0.1", "1:0:1", "nan", ""],
    "length": ["20", "0", "1", "-1", str(2**64), "x"],
    "num_samples": ["1", "2", "0", "1000000", "x"],
    "prompt": ["The ", "", "夢", "-", "\udcff"],
    "seed": ["0", "1", "-1", str(2**63), "x"],
    "run": ["owl", "nobody", "checkpoints/owl", *EVIL],
    "checkpoints": ["checkpoints", "nowhere", "owl.txt", *EVIL],
    "text": ["owl.txt", "checkpoints/owl/held_out.txt", "nowhere.txt", *EVIL],
    "html": ["page.html", "owl.txt", "-", "no/page.html", "/", *EVIL],
    "output": ["kept.txt", "checkpoints", "/", "-", *EVIL],
    "config": ["options.toml", "bad.toml", "checkpoints/owl/run.json", "nowhere.toml", *EVIL],
    "regex": ["[A-Za-z ]+", "(", "a{1000000}", "\\p", "(a|b)*", ""],
    "data": ["names", "names/a.txt", "owl.txt", "nowhere", *EVIL],
    "find": ["quotes", "words", "nothing", ""],
    "unit": ["1.1", "1.12", "1.13", "0.0", "2.1", "x", ""],
}
FILES = ("corpus", "corpora", "labels", "class_names", "paths", "name", "texts")
VALUES |= dict.fromkeys(FILES, VALUES["text"]) | dict.fromkeys(("runs", "init_from"), VALUES["run"])
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
ALWAYS = {"length", "num_samples", "temps", "corpus"}  # the defaults take long, or are not there


def commands(group=cli.cli, path=()):
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def value(option, draw):
    known = VALUES.get(option.name, NUMBERS + EVIL if option.type is click.STRING else NUMBERS)
    if isinstance(option.type, click.Choice):
        known = [draw.choice(option.type.choices), "x", ""]
    return known[0] if draw.random() < 0.85 else draw.choice(known)


def drawn(draw):
    """Return the words of a command line."""
    path, command = draw.choice(list(commands()))
    words = list(path)
    for option in command.params:
        wanted = option.required or option.name in ALWAYS or draw.random() < 2.5 / len(command.params)
        if isinstance(option, click.Argument):
            words += [value(option, draw) for _ in range(draw.choice([1, 1, 2]))]
        elif wanted and option.is_flag:
            words.append(draw.choice([*option.opts, *option.secondary_opts]))
        elif wanted:
            words += [draw.choice(option.opts), value(option, draw)]
    return words


@pytest.fixture
def place(tiny_run, text, monkeypatch):
    where = tiny_run.path.parents[1]
    monkeypatch.chdir(where)
    (where / "owl.txt").write_text(text)
    (where / "options.toml").write_text("top_k = 5\n")
    (where / "bad.toml").write_text('top_k = "five"\n')
    (where / "names").mkdir()
    for name in "ab":
        (where / "names" / f"{name}.txt").write_text("".join(f"{name}{n}\n" for n in range(200)))
    # A training would begin here.
    monkeypatch.setattr(arguments, "trained", lambda job, *_, **__: SimpleNamespace(path=job.path))
    return where


def complaint(words, code, out, said):
    """Return what is wrong with the end of a command; empty for nothing."""
    if code not in CODES:
        return "exit code"
    if "Traceback" in said or "should not happen" in said:
        return "unforeseen"
    if CONTROL.search(said):
        return "control characters"
    if code != 2:
        return ""
    if out and "write" not in words:
        return "a result of a refused command"
    given = {repr(word)[1:-1] for word in words} - {""}
    option = re.search("--[a-z]|Missing argument", said.replace("--help", ""))
    return "" if option or any(word in said for word in given) else "no option named"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_any_command_line_ends_as_promised(block, place, monkeypatch, capsys):
    found, files = [], [path for path in place.rglob("*") if path.is_file()]
    kept = [path.read_bytes() for path in files]
    for number in range(block, DRAWS, BLOCKS):
        words = drawn(random.Random(number))
        typed = io.TextIOWrapper(io.BytesIO(b"1\n/temps 0,5\n/save owl.txt\nsat\n/cut 1\n"))
        monkeypatch.setattr(sys, "stdin", typed)
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        out, said = capsys.readouterr()
        if wrong := complaint(words, ended.value.code, out, said):
            found.append(f"draw {number}: {wrong}: {words} ended with {ended.value.code}: {said}")
        if "--force" not in words:
            assert kept == [path.read_bytes() for path in files], f"draw {number}: {words}"
    assert not found, "\n".join(found)
