"""What the commands say: results on stdout, talk and progress on stderr."""

import json
import sys
from typing import Any

import click


def say(line: str) -> None:
    from lstmega.display import plain

    click.echo(plain(line), err=True)


def print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=sys.stdout.encoding.lower() != "utf-8"))


def echo(text: str) -> None:
    from lstmega.display import plain

    click.echo(plain(text))


def progress() -> Any:
    from lstmega import progress

    return progress.on(sys.stderr)
