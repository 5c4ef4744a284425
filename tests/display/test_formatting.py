import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lstmega.display import formatting as display


def test_bits():
    assert display.bits(0.6931471805599453) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")]
)
def test_duration(seconds, text):
    assert display.duration(seconds) == text


@given(st.text())
def test_no_control_character_reaches_a_terminal(text):
    shown = display.plain(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown if c not in "\n\t")


def test_plain_shows_what_it_hides():
    assert display.plain("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\n"


@given(st.text(), st.integers(1, 40))
def test_one_line_is_one_short_line(text, width):
    line = display.one_line(text, width)
    assert cell_len(line) <= width
    assert "\n" not in line


@pytest.mark.parametrize(
    ("text", "line"),
    [("日本語", "日本語"), ("日本語x", "日本…"), ("日本語日本語", "日本…"), ("abcdef", "abcdef"),
     ("abcdefg", "abcde…"), ("a日本語", "a日本…"), ("e\u0301" * 6, "e\u0301" * 6)],
)  # fmt: skip
def test_one_line_counts_terminal_cells(text, line):
    assert display.one_line(text, 6).replace(" …", "…") == line  # half a wide character is a space


@given(st.text(alphabet="`~a\n", max_size=30))
def test_no_line_of_a_text_closes_its_fence(text):
    first, *_, last = display.fenced(text).split("\n")
    assert first == last + "text"
    assert last not in text


def test_columns_align():
    assert display.columns([("a", "b"), ("long", "c")]) == "a     b\nlong  c"


ASCII = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=9)


@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(ASCII, min_size=n, max_size=n), max_size=6))
)
def test_columns_of_ascii_are_padded_to_their_longest_text(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    assert display.columns(rows) == "\n".join(lines)


def test_columns_align_wide_and_combining_characters():
    rows = [("日本語", "1"), ("abc", "2"), ("e\u0301", "3"), ("😀", "4")]
    lines = display.columns(rows).splitlines()
    assert [line[-1] for line in lines] == ["1", "2", "3", "4"]
    assert {cell_len(line[:-1]) for line in lines} == {len("日本語") * 2 + 2}


def test_layers_sums_each_layer():
    shapes = {"embedding/embeddings": (84, 256), "lstm_1/kernel": (2, 3), "lstm_1/bias": (4,)}
    assert display.layers(shapes) == "embedding 21,504, lstm_1 10"


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (1234, "1,234"), (1.5, "1.5000"), ("x", "x")])
def test_number(value, text):
    assert display.number(value) == text


def test_markdown_of_a_foreign_name_has_no_markup():
    assert display.markdown("![x](http://y) <img> a|b \\[\n\x1b") == (
        r"!\[x\](http://y) &lt;img> a\|b \\\[ \\x1b"
    )


def test_json_for_a_terminal_means_the_same():
    value = {"a": "\u202e\x9b\x7f\n\ud800夢"}
    text = display.plain_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert not re.search("[\x7f-\x9f\u202e\ud800]", text)
    assert "夢" in text
