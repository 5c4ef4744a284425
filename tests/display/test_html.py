from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError

from lstmega.display import html

EVIL = "<script>&\"'\x1b\u202e\ud800"


def test_a_table_is_escaped_and_shows_control_characters():
    shown = html.table([("a", EVIL), (EVIL, "&")], EVIL, EVIL)
    assert shown.count("&lt;script&gt;&amp;&#34;&#39;\\x1b\\u202e\\ud800") == 4
    assert "<script" not in shown
    shown.encode()  # no half of a surrogate pair is left


@pytest.mark.parametrize("value", [np.str_(EVIL), Path(EVIL)])
def test_what_is_shown_as_text_is_escaped_like_text(value):
    assert html.table([(value,)], "") == html.table([(EVIL,)], "")


def test_a_table_without_caption_and_note():
    shown = html.table([("a", "b"), ("c", "d")], "")
    assert "".join(shown.split()) == (
        "<table><tr><th>a</th><th>b</th></tr><tr><td>c</td><td>d</td></tr></table>"
    )


def test_markup_is_not_escaped_again():
    assert "<th><i>a</i></th>" in html.table([(html.markup("<i>a</i>"),)], "")


def test_a_variable_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError, match="'rows' is undefined"):
        html.render("table.html", caption="", note="")
