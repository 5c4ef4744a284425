"""The parser against `re`: random patterns, valid and not."""

import re
import warnings
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmega.errors import UsageError
from lstmega.inference.automata import Expression
from lstmega.inference.regular_expression import Alternation, Character, Concatenation, Repetition, parse

LETTERS = "aAbé12 \n-#{}"
TEXTS = ["".join(text) for length in range(4) for text in product("aAb1 \n", repeat=length)]
TEXTS += [*LETTERS, "ab1-", "é a", "a#b", "a{2}", "a-é", "a\n1 ", "{}", "aaaa", "1-1-", "bAbA"]


def acceptance(machine):
    """Return a function that says whether an automaton accepts a text."""
    follow = cache(machine.follow)

    def accepts(text):
        node = machine.start
        for character in text:
            if node is not None:
                node = follow(node)[machine.classes[LETTERS.index(character)]]
        return node is not None and machine.bound(node) == 0

    return accepts


def agrees_with_re(regex):
    """Compare with `re.fullmatch`; return what was wrong, if the pattern was refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compiled = re.compile(regex)
        except (re.error, ValueError, OverflowError) as error:
            compiled, mistake = None, error
        try:
            accepts = acceptance(Expression(regex, LETTERS, "a pattern"))
        except UsageError as error:
            if compiled is None:
                assert f"cannot be read: {mistake}. Received: " in str(error)
            return str(error)
        assert compiled is not None
        for text in TEXTS:
            assert accepts(text) == bool(compiled.fullmatch(text)), text
        return None


def one_of(words, *others):
    """Draw one of the words of a text, or of the others, which may have spaces."""
    return st.sampled_from([*words.split(), *others])


# The syntax that is accepted. No number is above 2: `re` would take minutes for nested repeats.
CHARACTERS = one_of(
    r"a A b - { } ] , é # . \d \D \w \W \s \S \n \t \a \\ \. \# \- \é \x61 \u0041 \U00000062 "
    r"\0 \01 \061 \1011 \141 {} {2 {a} {,2",
    *(" ", "\n", r"\ ", "\\\n", "a{ 2}", r"\N{LATIN SMALL LETTER A}"),
)
MEMBERS = one_of(
    r"a A b 1 - [ a^ . # é a-c !-/ 0-9 \d \W \s \] \- \b \\ \n \x61 \061 \1 \N{HYPHEN-MINUS} "
    r"\u0041-\u0043 && -- ||",
    " ",
)
CLASSES = st.tuples(
    st.sampled_from(["[", "[^"]),
    st.sampled_from(["", "]", "-"]),
    st.lists(MEMBERS, min_size=1, max_size=4).map("".join),
    st.just("]"),
).map("".join)
REPEATS = one_of("* + ? *? +? ?? {2} {0} {,2} {1,2} {1,} {,} {2}? {,1}? {0,}? (?#a)*", r"(?# \) )?")
OPENINGS = one_of(
    "( (?: (?i: (?s: (?a: (?u: (?x: (?m: (?-i: (?-s: (?-x: (?i-s: (?ax-im: (?usix: (?P<%d>"
)
FLAGS = one_of("(?i) (?s) (?x) (?a) (?aimsx) (?u) (?x)(?i)", "(?x)#(?s)\n", *[""] * 8)


def compound(inner):
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(OPENINGS, inner, REPEATS).map(lambda parts: f"{parts[0]}{parts[1]}){parts[2]}"),
        st.tuples(OPENINGS, several).map(lambda parts: f"{parts[0]}{'|'.join(parts[1])})"),
        several.map("".join),
    )


REGEXES = st.recursive(
    CHARACTERS | CLASSES | st.tuples(CLASSES, REPEATS).map("".join) | st.sampled_from(["", "(?#)"]),
    compound,
    max_leaves=8,
)


def whole(flags, start, inside, end):
    """Join parts to a pattern with named groups that are numbered."""
    text = f"{flags}{start}{inside}{end}"
    for number in range(text.count("%d")):
        text = text.replace("%d", f"g{number}", 1)
    return text


@settings(max_examples=150)
@given(
    flags=FLAGS,
    start=st.sampled_from(["", "", "^", r"\A", "^^", r"(?:^|\A)"]),
    inside=REGEXES,
    end=st.sampled_from(["", "", "$", r"\Z", "$(?#)", "(?:$|$)"]),
)
def test_what_is_written_correctly_matches_as_in_re(flags, start, inside, end):
    """A comment of the verbose mode may hide a parenthesis; then `re` refuses the pattern too."""
    refusal = agrees_with_re(whole(flags, start, inside, end))
    assert refusal is None or "cannot be read: " in refusal


TOKENS = one_of(
    r"a b A - # { } , ^ $ . | ( ) [ ] * + ? \ (? (?: (?i (?- (?P< (?P= (?< (?# (?x) {1, ,2} | ) \d \1 "
    r"\x \N{ \Z \b (?= (?> (?(1) \z \400 [^ a-",
    *(" ", "\n"),
)
ANYTHING = st.one_of(
    st.lists(TOKENS, max_size=9).map("".join),
    st.tuples(REGEXES, TOKENS, st.integers(0, 20)).map(
        lambda drawn: drawn[0][: drawn[2]] + drawn[1] + drawn[0][drawn[2] :]
    ),
)
REFUSED = (
    ("a reference to a group", r"\\[1-9]|\(\?P="),
    ("a condition on a group", r"\(\?\("),
    ("a look around", r"\(\?<?[=!]"),
    ("an atomic group", r"\(\?>"),
    ("a possessive repeat", r"([*+?]|\{[0-9,]*\})\+"),
    ("an anchor that is not at an end, or a word boundary", r"\\[bBAZ]|[$^]"),
)


@settings(max_examples=300)
@given(ANYTHING)
def test_what_re_refuses_is_refused_and_the_rest_matches(regex):
    refusal = agrees_with_re(regex)
    if refusal is not None and "cannot be read: " not in refusal:
        reasons = [sign for what, sign in REFUSED if f"The pattern has {what}, at position " in refusal]
        assert len(reasons) == 1
        position = int(re.search("at position ([0-9]+)", refusal)[1])
        assert re.match(reasons[0], regex[position:])


@pytest.mark.parametrize(
    ("regex", "expected"),
    [
        ("", Concatenation(())),
        ("(?:^)()$", Concatenation(())),
        ("a|[b-d]|.", Character("a|[b-d]|.", 0)),
        ("(?i)a|b|a", Character("a|b", re.IGNORECASE)),
        ("(?a:a)|b", Alternation((Character("a", re.ASCII), Character("b", 0)))),
        ("(?P<n>(?:(a)b))c", Concatenation((Character("a", 0), Character("b", 0), Character("c", 0)))),
        ("a{,3}?", Repetition(Character("a", 0), 0, 3)),
        ("(?x) a (?#!) {2,} # +", Repetition(Character("a", 0), 2, None)),
        ("(?:a*)+", Repetition(Repetition(Character("a", 0), 0, None), 1, None)),
    ],
)
def test_trees(regex, expected):
    assert parse(regex) == expected


@pytest.mark.parametrize(
    ("regex", "message"),
    [
        ("ab)", "cannot be read: unbalanced parenthesis at position 2"),
        ("a(b", "cannot be read: missing ), unterminated subpattern at position 1"),
        ("ab\n**", r"cannot be read: multiple repeat at position 4 (line 2, column 2)"),
        ("ab\\", "cannot be read: bad escape (end of pattern) at position 2"),
        ("b(?<=a)", "has a look around, at position 1."),
        ("(a)b*\\1", "has a reference to a group, at position 5."),
        ("ab$c", "has an anchor that is not at an end, or a word boundary, at position 2."),
        ("(?:a|b^)", "has an anchor that is not at an end, or a word boundary, at position 6."),
        ("ab{2}+", "has a possessive repeat, at position 2."),
    ],
)
def test_refusals_name_the_position(regex, message):
    with pytest.raises(UsageError) as caught:
        parse(regex)
    assert f"The pattern {message}" in str(caught.value)
    assert f"Received: {regex!r}. Accepted: " in str(caught.value)
