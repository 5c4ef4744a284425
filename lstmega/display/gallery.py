"""Texts side by side under small charts, as one page of its own or a notebook's cell; pure.

The texts are untrusted: everything is escaped, control characters are shown, and a page forbids scripts.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega.display import formatting as display
from lstmega.display.chart import Chart, svg
from lstmega.display.html import document, escaped, table

GREY, GRID, INK, PAPER = "#57606a", "#d8dee4", "#24292f", "#ffffff"
_MARK, _DARK_MARK = "#ffe08a", "#6b5200"


@dataclass(frozen=True)
class Source:
    """A passage of the training text that was copied.

    Args:
        where: Its place, in words.
        before: What stands before it.
        passage: The passage.
        after: What stands behind it.
    """

    where: str
    before: str
    passage: str
    after: str


@dataclass(frozen=True)
class Piece:
    """A text that was written.

    Args:
        text: It.
        nats: The cost of each of its characters, to be seen under the pointer; None shows none.
        copies: `(start, end, number of the source)` of what was copied.
    """

    text: str
    nats: npt.NDArray[np.float64] | None
    copies: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Shelf:
    """The texts of one temperature."""

    heading: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Gallery:
    """Everything that a page shows, in its order.

    Args:
        title: What it is.
        note: A sentence below the title; empty is none.
        prompt: What all texts go on from.
        charts: Side by side.
        table: Rows of cells, the head first.
        shelves: Side by side.
        sources: What the marked passages link to.
    """

    title: str
    note: str
    prompt: str
    charts: tuple[Chart, ...]
    table: Sequence[Sequence[str]]
    shelves: tuple[Shelf, ...]
    sources: tuple[Source, ...]


def page(gallery: Gallery) -> str:
    """Return a page of its own, without scripts and without anything from elsewhere."""
    return document(fragment(gallery), title=gallery.title, style="body{margin:0}")


def fragment(gallery: Gallery) -> str:
    """Return the same for a notebook's cell."""
    own = hashlib.sha256(repr(gallery.title + gallery.prompt).encode()).hexdigest()[:8]
    shelves = "".join(_shelf(shelf, own) for shelf in gallery.shelves)
    pictures = "".join(map(svg, gallery.charts))
    note = f"<p><b>{escaped(gallery.note)}</b></p>" if gallery.note else ""
    return (
        f'<div class="lstmega-sweep"><style>{_STYLE}</style><h2>{escaped(gallery.title)}</h2>{note}'
        f'<div class="charts">{pictures}</div>'
        f'<div class="scroll">{table(gallery.table, "")}</div>'
        f"<p>The texts go on from <code>{escaped(_inline(gallery.prompt))}</code></p>"
        f'<div class="shelves" tabindex="0">{shelves}</div>{_sources(gallery.sources, own)}</div>'
    )


def _shelf(shelf: Shelf, own: str) -> str:
    first, *others = shelf.pieces
    more = "".join(f"<pre>{_piece(piece, own, hover=False)}</pre>" for piece in others)
    more = f"<details><summary>{len(others)} more</summary>{more}</details>" if others else ""
    return (
        f"<section><h3>{escaped(shelf.heading)}</h3>"
        f'<pre dir="auto" translate="no">{_piece(first, own)}</pre>{more}</section>'
    )


def _piece(piece: Piece, own: str, *, hover: bool = True) -> str:
    drawn = []
    at = 0
    for begin, end, number in piece.copies:
        start = max(at, begin)  # passages may overlap
        said = f"{end - begin} characters in a row as in the training text: passage {number}"
        drawn += [
            _characters(piece, at, start, hover),
            f'<a href="#{own}-{number}" title="{said}">{escaped(piece.text[start:end])}'
            f"<sup>{number}</sup></a>",
        ]
        at = end
    return "".join([*drawn, _characters(piece, at, len(piece.text), hover)])


def _characters(piece: Piece, start: int, end: int, hover: bool) -> str:
    if piece.nats is None or not hover:
        return escaped(piece.text[start:end])
    shares = np.exp(-piece.nats[start:end]) * 100
    return "".join(
        f'<b title="{share:.3g}%">{escaped(character)}</b>'
        for character, share in zip(piece.text[start:end], shares.tolist(), strict=True)
    )


def _sources(sources: Sequence[Source], own: str) -> str:
    if not sources:
        return ""
    items = "".join(
        f'<li id="{own}-{number}">{escaped(source.where)}: <q>{escaped(_inline(source.before))}<mark>'
        f"{escaped(_inline(source.passage))}</mark>{escaped(_inline(source.after))}</q></li>"
        for number, source in enumerate(sources, 1)
    )
    return f"<h3>Where the marked passages stand in the training text</h3><ol>{items}</ol>"


def _inline(text: str) -> str:
    return display.plain(text).replace("\n", "⏎")


_BOX = ".lstmega-sweep"
_STYLE = (
    f"{_BOX}{{background:{PAPER};color:{INK};padding:1rem;font:1rem/1.5 system-ui,sans-serif}}"
    f"{_BOX} .charts{{display:flex;flex-wrap:wrap;gap:.5rem;max-width:58rem}}"
    f"{_BOX} .scroll{{overflow-x:auto}}"
    f"{_BOX} table{{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}}"
    f"{_BOX} th,{_BOX} td{{padding:.15rem .6rem;text-align:right;border-bottom:1px solid {GRID}}}"
    f"{_BOX} .shelves{{display:grid;grid-auto-flow:column;grid-auto-columns:min(26rem,85vw);gap:1rem;"
    "overflow-x:auto;align-items:start}"
    f"{_BOX} pre{{font:.85rem/1.5 ui-monospace,monospace;white-space:pre-wrap;"
    "overflow-wrap:anywhere;word-break:normal;"
    "background:none;color:inherit;content-visibility:auto;contain-intrinsic-size:auto 40rem}"
    f"{_BOX} b[title]{{font-weight:inherit}}"
    f"{_BOX} b[title]:hover{{outline:1px solid {GREY}}}"
    f"{_BOX} pre a,{_BOX} mark{{background:{_MARK};color:inherit}}"
    f"{_BOX} svg{{border-radius:4px}}"
    f"@media(prefers-color-scheme:dark){{{_BOX}{{background:#161616;color:#f4f4f5}}"
    f"{_BOX} pre a,{_BOX} mark{{background:{_DARK_MARK}}}}}"
)
