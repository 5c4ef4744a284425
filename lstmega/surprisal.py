"""A text coloured by how much each character surprised a model: pages and notebook cells.

The text is untrusted: everything is escaped, and a page forbids scripts.
"""

import html
import math

import numpy as np
import numpy.typing as npt

from lstmega import display
from lstmega.errors import UsageError

MOST = 200_000  # characters that a page shows
_STEPS = (0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6.5, 8)  # bits: where the next shade begins
# From the page's own colour to a strong one; the text stays readable on each.
_LIGHT = (
    "#ffffff", "#fff7ec", "#feeedb", "#fee3c3", "#fdd4a5", "#fdc38d", "#fcab72", "#fb9160", "#f97a52",
    "#f0634a", "#e34a33",
)  # fmt: skip
_DARK = (
    "#16161a", "#231c1c", "#2f201d", "#3c241e", "#4b281e", "#5b2c1e", "#6d301e", "#80331d", "#93361b",
    "#a63817", "#b93a10",
)  # fmt: skip
_EXCERPT = 24  # characters on each side of a surprise
_LISTED = 10

Bits = npt.NDArray[np.float64]


def page(
    text: str, nats: npt.NDArray[np.floating], *, title: str, note: str = "", most: int = MOST
) -> str:
    """Return a page of its own.

    Args:
        text: What was read.
        nats: The cost of each character but the first.
        title: What it is.
        note: A sentence below the title.
        most: Characters to show.

    Raises:
        UsageError: There is not one cost for each character but the first.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escaped(title)}</title>\n"
        "<style>body{margin:2rem auto;max-width:60rem;padding:0 1rem;background:#fff;color:#16161a}"
        "@media(prefers-color-scheme:dark){body{background:#16161a;color:#f4f4f5}}</style>\n"
        f"</head>\n<body>\n{fragment(text, nats, title=title, note=note, most=most)}\n</body>\n</html>\n"
    )


def fragment(
    text: str, nats: npt.NDArray[np.floating], *, title: str, note: str = "", most: int = MOST
) -> str:
    """Return the same for a notebook's cell; arguments and errors as for `page`."""
    if len(nats) != max(0, len(text) - 1):
        raise UsageError(
            f"A text of {len(text)} characters has {max(0, len(text) - 1)} costs, one for each but the "
            f"first. Received: {len(nats)}."
        )
    bits: Bits = np.concatenate([[0.0], np.asarray(nats, np.float64) / math.log(2)])[: len(text)]
    shown = min(len(text), most)
    left_out = (
        f"<p>{len(text) - shown:,} more characters are not shown.</p>" if len(text) > shown else ""
    )
    return (
        f'<div class="lstmega-bits"><style>{_style()}</style>'
        f"<h2>{_escaped(title)}</h2><p>{_escaped(note)}</p>"
        f"{_summary(text, bits)}{_legend()}"
        f"<pre>{_coloured(text[:shown], bits[:shown])}</pre>{left_out}</div>"
    )


def _style() -> str:
    rules = [
        ".lstmega-bits{font:1rem/1.5 system-ui,sans-serif}"
        ".lstmega-bits pre{white-space:pre-wrap;overflow-wrap:anywhere;font:.95rem/1.6 ui-monospace,"
        "monospace;background:none;color:inherit}"
        ".lstmega-bits i{font-style:normal}.lstmega-bits s{opacity:.35;text-decoration:none}"
        ".lstmega-bits ol{columns:2;font-family:ui-monospace,monospace;font-size:.85rem}"
        ".lstmega-bits i{color:#16161a}"
    ]
    rules += [f".lstmega-bits .b{n}{{background:{colour}}}" for n, colour in enumerate(_LIGHT)]
    dark = [f".lstmega-bits .b{n}{{background:{colour}}}" for n, colour in enumerate(_DARK)]
    rules.append(f"@media(prefers-color-scheme:dark){{.lstmega-bits i{{color:#f4f4f5}}{''.join(dark)}}}")
    return "".join(rules)


def _summary(text: str, bits: Bits) -> str:
    if len(text) < 2:
        return ""
    worst = np.argsort(-bits[1:], kind="stable")[:_LISTED] + 1
    rows = "".join(
        f"<li>{_escaped(_one_line(text[max(0, at - _EXCERPT) : at]))}"
        f"<i class=b{_shade(bits[at])}>{_visible(text[at])}</i>"
        f"{_escaped(_one_line(text[at + 1 : at + 1 + _EXCERPT]))} {bits[at]:.1f} bits</li>"
        for at in worst
    )
    mean = f"{bits[1:].mean():.3f} bits per character on average"
    return f"<p>{mean}. The most surprising:</p><ol>{rows}</ol>"


def _legend() -> str:
    edges = ["0", *(f"{step:g}" for step in _STEPS)]
    boxes = "".join(f"<i class=b{n}>&nbsp;{edge}&nbsp;</i>" for n, edge in enumerate(edges))
    return f"<p>Bits, from: {boxes}</p>"


def _coloured(text: str, bits: Bits) -> str:
    shades = np.searchsorted(_STEPS, bits, side="right")
    return "".join(
        f'<i class=b{shade} title="{_named(character)} {cost:.2f} bits">{_visible(character)}</i>'
        for character, cost, shade in zip(text, bits.tolist(), shades.tolist(), strict=True)
    )


def _shade(bits: float) -> int:
    return int(np.searchsorted(_STEPS, bits, side="right"))


def _named(character: str) -> str:
    names = {" ": "space", "\n": "line end", "\t": "tab"}
    return names.get(character) or _escaped(character)


def _visible(character: str) -> str:
    return "<s>⏎</s>\n" if character == "\n" else _escaped(character)


def _one_line(text: str) -> str:
    return text.replace("\n", "⏎")


def _escaped(text: str) -> str:
    return html.escape(display.plain(text))
