"""A text coloured by how much each character surprised a model: pages and notebook cells.

The text is untrusted: everything is escaped, control characters are shown, and a page forbids scripts.
"""

import html
import math

import numpy as np
import numpy.typing as npt

from lstmega import display
from lstmega.errors import UsageError

MOST = 200_000  # characters that are shown
_STEPS = (0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10)  # bits: where the next shade begins
_CLASSES = "abcdefghijkl"
# Even steps of OKLab lightness (Ottosson 2020), from the ground to orange and to rust.
_LIGHT = (
    "#ffffff", "#fff5e4", "#feeacd", "#fedeb9", "#fed2a6", "#fec594", "#fdb884", "#fdab76", "#fc9d69",
    "#fa8f5f", "#f88056", "#f57050",
)  # fmt: skip
_DARK = (
    "#161616", "#251b13", "#321f12", "#3f2411", "#4c2810", "#592d0f", "#67310f", "#753610", "#833a12",
    "#913e15", "#a04319", "#ae471f",
)  # fmt: skip
_LIGHT_INK, _DARK_INK = "#16161a", "#f4f4f5"
_BEFORE = 20  # characters before a surprise
_LISTED = 10
_BLOCK, _LONGEST = 300, 2000  # characters of one block: about, at most
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

Bits = npt.NDArray[np.float64]


def page(
    text: str,
    nats: npt.NDArray[np.floating],
    *,
    title: str,
    note: str = "",
    start: int = 0,
    most: int = MOST,
) -> str:
    """Return a page of its own: a summary of the whole text, a legend, the text.

    Args:
        text: What was read.
        nats: The cost of each character but the first, `[len(text) - 1]`.
        title: What it is.
        note: A sentence below the title.
        start: The first character to show.
        most: How many to show.

    Raises:
        UsageError: There is not one cost for each character but the first, or `start` is no place of
            the text.
    """
    body = fragment(text, nats, title=title, note=note, start=start, most=most)
    ground = "body{{margin:0;background:{}}}".format
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_escaped(title)}</title>\n"
        f"<style>{ground(_LIGHT[0])}.lstmega-bits{{margin:auto;max-width:60rem}}"
        f"@media(prefers-color-scheme:dark){{{ground(_DARK[0])}}}</style>\n"
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def fragment(
    text: str,
    nats: npt.NDArray[np.floating],
    *,
    title: str,
    note: str = "",
    start: int = 0,
    most: int = MOST,
) -> str:
    """Return the same for a notebook's cell; arguments and errors as for `page`."""
    _check(text, nats, start)
    bits: Bits = np.full(len(text), np.nan)
    bits[1:] = np.asarray(nats, np.float64) / math.log(2)
    end = min(len(text), start + max(0, most))
    return (
        f'<div class="lstmega-bits"><style>{_style()}</style>'
        f"<h2>{_escaped(title)}</h2>{_paragraph(_escaped(note))}{_summary(text, bits)}{_legend()}"
        f"{_left_out(start, end, len(text))}"
        f'<pre dir="auto" translate="no">{_coloured(text, bits, start, end)}</pre></div>'
    )


def _check(text: str, nats: npt.NDArray[np.floating], start: int) -> None:
    costs = max(0, len(text) - 1)
    if len(nats) != costs:
        raise UsageError(
            f"nats does not fit the text. Received: {len(nats)} costs for {len(text)} characters. "
            f"Accepted: {costs}, one for each character but the first."
        )
    if not 0 <= start <= len(text):
        raise UsageError(
            f"start is no place of the text. Received: {start}. Accepted: from 0 to {len(text)}."
        )


def _style() -> str:
    """Return rules that touch nothing outside; the ground is our own, whatever the notebook's theme."""
    box = ".lstmega-bits"
    dark = f"{box}{{background:{_DARK[0]};color:{_DARK_INK}}}{_shades(_DARK)}"
    return (
        f"{box}{{background:{_LIGHT[0]};color:{_LIGHT_INK};padding:1rem}}"
        f"{box}{{font:1rem/1.5 system-ui,sans-serif}}"
        f"{box} pre,{box} ol{{font:.95rem/1.6 ui-monospace,monospace;white-space:pre-wrap;"
        "overflow-wrap:anywhere;background:none;color:inherit}"
        f"{box} div{{content-visibility:auto;contain-intrinsic-size:auto 8rem}}"
        f"{box} b{{font-weight:inherit;color:inherit}}"
        f'{box} .n::before{{content:"⏎";opacity:.4}}'
        f"{_shades(_LIGHT)}@media(prefers-color-scheme:dark){{{dark}}}"
    )


def _shades(colours: tuple[str, ...]) -> str:
    named = zip(_CLASSES, colours, strict=True)
    return "".join(f".lstmega-bits .{name}{{background:{colour}}}" for name, colour in named)


def _summary(text: str, bits: Bits) -> str:
    if len(text) < 2:
        return ""
    mean = f"{bits[1:].mean():.3f} bits per character on average, over {len(text) - 1:,}."
    worst = np.argsort(-bits[1:], kind="stable")[:_LISTED] + 1
    items = "".join(f"<li>{_excerpt(text, bits, int(at))}</li>" for at in worst)
    return f"<p>{mean} The most surprising:</p><ol>{items}</ol>"


def _excerpt(text: str, bits: Bits, at: int) -> str:
    before = display.plain(text[max(0, at - _BEFORE) : at]).replace("\n", "⏎")
    mark = f"<b class={_shade(bits[at])}>{_escaped(text[at]).replace(chr(10), '⏎')}</b>"
    return f"{html.escape(before)}{mark} {bits[at]:z.2f} bits"


def _legend() -> str:
    edges = ["0", *(f"{step:g}" for step in _STEPS)]
    boxes = zip(_CLASSES, edges, strict=True)
    return _paragraph(
        "Bits, from: " + "".join(f"<b class={name}>&nbsp;{edge}&nbsp;</b>" for name, edge in boxes)
    )


def _coloured(text: str, bits: Bits, start: int, end: int) -> str:
    """Return the text in blocks that a browser lays out only when they are in sight.

    One block of 60,000 characters took Chromium 17 s, blocks of a few lines 1 s. A line of more
    than `_LONGEST` characters goes on in a next block, without the sign of a line end.
    """
    names = [_CLASSES[shade] for shade in np.searchsorted(_STEPS, bits[start:end], side="right")]
    costs = [f"{cost:z.2f} bits" for cost in bits[start:end].tolist()]
    if start == 0 and names:
        names[0], costs[0] = "first", "first, no cost"  # nothing predicts it
    drawn = list(map(_character, text[start:end], names, costs))
    blocks, at = [], 0
    while at < len(drawn):
        line_end = text.find("\n", start + at + _BLOCK, end) + 1 - start
        stop = min(line_end if line_end > 0 else len(drawn), at + _LONGEST)
        blocks.append(f"<div>{''.join(drawn[at:stop])}</div>")
        at = stop
    return "".join(blocks)


def _character(character: str, name: str, cost: str) -> str:
    if character == "\n":  # the sign is the style's, so that a copied text is the text
        return f"<b class='{name} n' title='\"⏎\" {cost}'>\n</b>"
    shown = _escaped(character)
    return f"<b class={name} title='\"{shown}\" {cost}'>{shown}</b>"


def _shade(bits: float) -> str:
    return _CLASSES[int(np.searchsorted(_STEPS, bits, side="right"))]


def _left_out(start: int, end: int, total: int) -> str:
    left_out = total - (end - start)
    shown = f"Shown are characters {start + 1:,} to {end:,} of {total:,}; {left_out:,} are left out."
    return _paragraph(shown if left_out else "")


def _paragraph(inner: str) -> str:
    return f"<p>{inner}</p>" if inner else ""


def _escaped(text: str) -> str:
    return html.escape(display.plain(text))
