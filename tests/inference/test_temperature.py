import re

import numpy as np
import pytest

from lstmega.errors import UsageError
from lstmega.inference.logits_processors import ENDED, RowHistory
from lstmega.inference.temperature import OVER, Varied, check_temperatures, parse_temperatures


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5,0.8", (0.5, 0.8)),
        ("0", (0.0,)),
        ("1e-9, 3", (1e-9, 3.0)),
        ("0, 1", (0.0, 1.0)),
        ("0.2:1.4:0.2", (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)),
        ("0.1:1:0.1", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        ("0.2:1.1:0.4", (0.2, 0.6, 1.0)),
        ("0.7:0.7:1", (0.7,)),
        ("0,0.5:1:0.25,0.5", (0.0, 0.5, 0.75, 1.0, 0.5)),
        (" 0.5 , 0.6 : 0.8 : 0.1 ", (0.5, 0.6, 0.7, 0.8)),
        ("0.001:1:0.001", tuple(number / 1000 for number in range(1, 1001))),
    ],
)
def test_temperatures(text, expected):
    assert parse_temperatures(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "0.5,", "warm", "0.5;0.8", "-1", "-0.1:1:0.1", "nan", "inf", "-inf", "sNaN"),
        *("1e400", "0.2:1.4", "0.2:1.4:0.2:1", "1.4:0.2:0.2", "0.2:1.4:0", "0.2:1.4:-0.2"),
        *("0:1:nan", "0:inf:1", "0:1:0.0001", "0:1e300:1e-300", "0:1:0.001", "0.5," * 1000 + "1"),
        *("1e999999999999999999", "0:1:1e-999999", "3.1", "1e30", "0:4:1", "0,1", "0,5", "1,2"),
    ],
)
def test_bad_temperatures(text):
    with pytest.raises(UsageError, match=r"(?s)--temps .*Received: .*Accepted: .*0\.2:1\.4:0\.2"):
        parse_temperatures(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("0,5", "0.5"), (" 0,75", "0.75"), ("0,5,0,8", "0.5,0.8"), ("0,2:1,4:0,2", "0.2:1.4:0.2")],
)
def test_a_decimal_comma_is_no_list(text, meant):
    with pytest.raises(UsageError, match=re.escape(f"Did you mean {meant}?")):
        parse_temperatures(text)


def test_what_is_no_decimal_comma_is_not_taken_for_one():
    for text in ("5,6", "warm", "4"):
        with pytest.raises(UsageError) as caught:
            parse_temperatures(text)
        assert ("Did you mean" in str(caught.value)) is False


# Within a text.


def spelled(varied, rows, texts, alphabet=" \nab"):
    """Return the temperature before each character of `texts`, `[rows, time]`."""
    history = RowHistory(np.array([2]), rows)
    found = [varied(history)]
    for column in zip(*texts, strict=True):
        history.append(np.array([alphabet.find(character) for character in column]))
        found.append(varied(history))
    return np.array(found).T


def test_temperatures_by_character_begin_again_after_the_last():
    found = spelled(Varied([0.1, 0.2, 0.3], "char", [], 1), 1, ["abab"])
    assert found.tolist() == [[0.1, 0.2, 0.3, 0.1, 0.2]]


def test_temperatures_by_word_change_with_each_word_of_each_row():
    found = spelled(Varied([0.1, 0.9], "word", [0, 1], 2), 2, ["ab  a\nb", "  aab a"])
    assert found[0].tolist() == [0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1]
    assert found[1].tolist() == [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9]


def test_temperatures_within_a_line_go_evenly_to_the_last_and_stay():
    line = "a" * (OVER + 5)
    found = spelled(Varied([1.0, 0.0, 0.5], "line", [1], 1), 1, [line + "\na"])[0]
    assert found[0] == 1.0
    assert found[OVER // 4] == pytest.approx(0.5)
    assert found[OVER // 2] == pytest.approx(0.0)
    assert (found[OVER : OVER + 6] == 0.5).all()
    assert found[OVER + 6] == 1.0  # a new line
    assert found[OVER + 7] < 1.0


def test_an_ended_row_does_not_disturb():
    history = RowHistory(np.array([0]), 1)
    varied = Varied([0.1, 0.9], "word", [0], 1)
    history.append(np.array([ENDED]))
    assert varied(history).tolist() == [0.1]


def test_temperatures_are_checked():
    assert check_temperatures(np.array([0, 1])) == [0.0, 1.0]
    with pytest.raises(UsageError, match="--temps must be at least 0"):
        check_temperatures([-1])
