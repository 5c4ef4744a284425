"""A text coloured by how much each character surprised a model: pages and notebook cells.

The text is untrusted: everything is escaped, control characters are shown, and a page forbids scripts.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lstmega.display import html as coloured
from lstmega.errors import UsageError

MOST = coloured.MOST  # characters that are shown
_STEPS = (0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10)  # bits: where the next shade begins
# Even steps of OKLab lightness (Ottosson 2020), from the ground to orange and to rust.
_LIGHT = (
    "#ffffff", "#fff5e4", "#feeacd", "#fedeb9", "#fed2a6", "#fec594", "#fdb884", "#fdab76", "#fc9d69",
    "#fa8f5f", "#f88056", "#f57050",
)  # fmt: skip
_DARK = (
    "#161616", "#251b13", "#321f12", "#3f2411", "#4c2810", "#592d0f", "#67310f", "#753610", "#833a12",
    "#913e15", "#a04319", "#ae471f",
)  # fmt: skip
_PALETTE = coloured.Palette("lstmega-bits", _STEPS, _LIGHT, _DARK)
_LISTED = 10

Bits = npt.NDArray[np.float64]


def page(
    text: str,
    nats: npt.NDArray[np.floating],
    *,
    title: str,
    note: str = "",
    remarks: Sequence[str] = (),
    start: int = 0,
    most: int = MOST,
) -> str:
    """Return a page of its own: a summary of the whole text, a legend, the text.

    Args:
        text: What was read.
        nats: The cost of each character but the first, `[len(text) - 1]`.
        title: What it is.
        note: A sentence below the title.
        remarks: What else to say of each character but the first when the pointer rests on it, as
            many as costs; none says its bits only.
        start: The first character to show.
        most: How many to show.

    Raises:
        UsageError: There is not one cost for each character but the first, or `start` is no place of
            the text.
    """
    body = fragment(text, nats, title=title, note=note, remarks=remarks, start=start, most=most)
    return coloured.page(_PALETTE, body, title=title)


def fragment(
    text: str,
    nats: npt.NDArray[np.floating],
    *,
    title: str,
    note: str = "",
    remarks: Sequence[str] = (),
    start: int = 0,
    most: int = MOST,
) -> str:
    """Return the same for a notebook's cell; arguments and errors as for `page`."""
    _check(text, nats, start)
    bits: Bits = np.full(len(text), np.nan)
    bits[1:] = np.asarray(nats, np.float64) / math.log(2)
    written = _written(text, bits, remarks, slice(start, start + max(0, most)))
    remark = coloured.paragraph(coloured.escaped(note))
    edges = ["0", *(f"{step:g}" for step in _STEPS)]
    legend = coloured.legend(_PALETTE, "Bits, from", edges)
    return coloured.box(_PALETTE, f"{remark}{_summary(text, bits)}{legend}{written}", title=title)


def _written(text: str, bits: Bits, remarks: Sequence[str], shown: slice) -> str:
    shades = _PALETTE.shades(bits[shown])
    said = [f"{cost:z.2f} bits" for cost in bits[shown].tolist()]
    if remarks:
        told = ["", *remarks][shown]  # the first character's place is taken below
        said = [f"{cost}; {more}" for cost, more in zip(said, told, strict=True)]
    if shown.start == 0 and said:
        shades[0], said[0] = "first", "first, no cost"  # nothing predicts it
    return coloured.written(text, shades, said, start=shown.start)


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


def _summary(text: str, bits: Bits) -> str:
    if len(text) < 2:
        return ""
    mean = f"{bits[1:].mean():.3f} bits per character on average, over {len(text) - 1:,}."
    worst = np.argsort(-bits[1:], kind="stable")[:_LISTED] + 1
    shades = _PALETTE.shades(bits[worst])
    items = "".join(
        f"<li>{coloured.excerpt(text, int(at), shade)} {bits[at]:z.2f} bits</li>"
        for at, shade in zip(worst, shades, strict=True)
    )
    return f"<p>{mean} The most surprising:</p><ol>{items}</ol>"
