"""Numbers and text for people: terminal lines and Markdown.

Corpora and samples are untrusted, so control characters are shown, and not sent to a terminal.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

# Of C0, C1 and DEL all but line feed and tab; the bidirectional overrides; halves of surrogate pairs.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def bits(nats: float) -> float:
    """Return nats as bits: nats / ln 2."""
    return nats / math.log(2)


def loss(nats: float, tokens: str = "char") -> str:
    """Return a loss per token in both units: `1.234 nats (1.780 bits/char)`, or `bits/byte`."""
    return f"{nats:.3f} nats ({bits(nats):.3f} bits/{tokens})"


def perplexity(nats: float) -> float:
    """Return exp of a loss, the number of equally likely tokens; at most exp(700), as floats end."""
    return math.exp(min(nats, 700.0))


def duration(seconds: float) -> str:
    """Return `47 s`, `3 min 05 s` or `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def plain(text: str) -> str:
    """Return text that is safe on a terminal: control characters as `\\x1b`, line ends kept."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def plain_json(text: str) -> str:
    """Return JSON that is safe on a terminal and means the same: control characters as `\\u202e`."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def cells(text: str) -> int:
    """Return the width of text on a terminal: a Chinese character is two cells wide, an accent none."""
    from rich.cells import cell_len  # noqa: PLC0415 - most commands draw no table

    return cell_len(text)


def one_line(text: str, width: int) -> str:
    """Return text on one line of at most `width` terminal cells: `⏎` for line ends, single spaces."""
    from rich.cells import set_cell_size  # noqa: PLC0415

    line = plain(re.sub("[ \t]+", " ", text).replace("\n", "⏎"))
    return line if cells(line) <= width else set_cell_size(line, max(0, width - 1)) + "…"


def columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> str:
    """Return rows of text as lines with aligned columns, with `gap` between two columns."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    padded = [
        [text + " " * (width - cells(text)) for text, width in zip(row, widths, strict=True)]
        for row in rows
    ]
    return "\n".join(gap.join(row).rstrip() for row in padded)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as a Markdown table; the first row is the head."""
    head, *body = ["| " + " | ".join(map(markdown, row)) + " |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])


def markdown(text: str) -> str:
    """Return text as one line of Markdown, without markup of its own: no table, tag, link or picture."""
    safe = re.sub(r"([\\|\[\]])", r"\\\1", plain(text)).replace("<", "&lt;")
    return safe.replace("\n", " ")


def fenced(text: str) -> str:
    """Return text as a Markdown code block that no line of it can close."""
    safe = plain(text)
    longest = max(map(len, re.findall("`+", safe)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{safe}\n{fence}"


def layers(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return each layer's parameters: `embedding 21,504, lstm_1 5,246,976, logits 86,100`."""
    totals: dict[str, int] = {}
    for name, shape in shapes.items():
        layer = name.partition("/")[0]
        totals[layer] = totals.get(layer, 0) + math.prod(shape)
    return ", ".join(f"{layer} {total:,}" for layer, total in totals.items())


def number(value: Any) -> str:
    """Return a table cell: thousands separated, absent as `-`."""
    if value is None:
        return "-"
    if isinstance(value, float):
        if abs(value) >= 100:
            return f"{value:,.0f}"
        return f"{value:.4f}" if abs(value) >= 0.01 or value == 0 else f"{value:.1e}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def unit(tokens: str) -> str:
    """Return the plural of a token: `characters` of `char`, `bytes` of `byte`, ..."""
    return "characters" if tokens == "char" else f"{tokens}s"


def count(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless it is one: `1 step`, `2,000 steps`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
