import time

import numpy as np
import pytest

from lstmega.errors import UsageError
from lstmega.evaluation import features


def drawn(track, text):
    """A track as digits, one below each character."""
    return "".join(f"{value:.0f}" for value in track(text))


# Each line of a case: the text, and 1 below what is inside; ⏎ is a line end.
QUOTES = [
    ('a "bc" d', "00111000"),
    ('""', "10"),
    ('"a" "b"', "1100110"),
    ("«a» „b“ “c”", "11001100110"),
    ('"a⏎b" c', "1111000"),
    ('"a⏎⏎b "c" d', "11000011000"),
    ('"a', "11"),
    ('a "', "001"),
    ("it's the dogs' and ours", "0" * 23),
    ("say 'it's so' now", "00001111111100000"),
    ("‘it’s so’ now", "1111111100000"),
    ("x = 'a' + b['c']", "0000110000001100"),
    ("'tis so. ⏎⏎the 'x'", "0" * 15 + "110"),
    ("the rock 'n' roll", "00000000011000000"),
    ("he said “a ‘b’ c” d", "0000000011111111000"),
    ('"""a "b"⏎⏎c""" d', "1" * 13 + "000"),
    ("", ""),
    ("none at all", "0" * 11),
    ('"so ‘it’⏎⏎no', "1" * 8 + "0" * 4),
    ("'''a''' b", "111111000"),
]


@pytest.mark.parametrize(("text", "expected"), QUOTES)
def test_quotes(text, expected):
    assert drawn(features.quotes, text.replace("⏎", "\n")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a(b)c", "01100"),
        ("([{}])", "123210"),
        ("(()", "010"),
        ("a) b( c", "0000000"),
        ("([)]", "1100"),
        (":-( (x) :-)", "00112211110"),
        ("", ""),
    ],
)
def test_brackets(text, expected):
    assert drawn(features.brackets, text) == expected
    assert drawn(features.bracketed, text) == expected.replace("2", "1").replace("3", "1")


@pytest.mark.parametrize(
    ("track", "text", "expected"),
    [
        (features.line, "ab\n\nc\n", "120010"),
        (features.line, "", ""),
        (features.indent, "a\n  b c\n\t\n\nd", "001222201000"),
        (features.words, "ab c1d's, é_x", "1201012300101"),
        (features.uppercase, "aB ÉC1ß", "0101100"),
        (features.numbers, "a1 2.5, x-30", "010111100011"),
        (features.addresses, "(http://a.b/c) www.x.y z", "0" + "1" * 12 + "00" + "1" * 7 + "00"),
    ],
)
def test_others(track, text, expected):
    assert drawn(track, text) == expected


def test_bytes_have_the_track_of_their_characters():
    text = "é “ü” \udcff)"
    raw = text.encode("utf-8", "surrogateescape")
    found = features.of("quotes", raw.decode("latin-1"), tokens="byte")
    assert "".join(f"{v:.0f}" for v in found) == "00" + "0" + "111" + "11" + "000" + "000"


def test_a_function_is_a_feature():
    def vowels(text):
        return [c in "aeiou" for c in text]

    assert features.of(vowels, "tea").tolist() == [0, 1, 1]
    assert (features.name_of(vowels), features.name_of("line")) == ("vowels", "line")


@pytest.mark.parametrize("values", [[1.0], [[1, 2, 3]], [1, 2, np.nan], 7])
def test_a_function_gives_one_number_for_each(values):
    with pytest.raises(UsageError, match="one finite number for each"):
        features.of(lambda text: values, "abc")


def test_an_unknown_feature():
    with pytest.raises(UsageError, match=r"--find must be one of: quotes, .*Received: 'mood'\."):
        features.of("mood", "abc")


@pytest.mark.parametrize("name", features.FEATURES)
@pytest.mark.parametrize(
    "piece", ["'", '"', "“", "(", "([{", ")", " ", "'a ", '"""', "\n", "1.", "www."]
)
def test_no_text_takes_long(name, piece):
    """Each track is about linear: 50,000 of anything in a row are done in a moment."""
    began = time.perf_counter()
    assert len(features.of(name, piece * 50_000)) == 50_000 * len(piece)
    assert time.perf_counter() - began < 5


def test_every_track_is_described():
    assert all(
        track.__doc__ and track.__doc__.startswith("Return") for track in features.FEATURES.values()
    )
