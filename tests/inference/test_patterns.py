import math
import re
import string
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lstmega.errors import UsageError
from lstmega.inference import automata, patterns
from lstmega.inference.automata import Occurrences
from lstmega.inference.patterns import Pattern

LETTERS = "\nab"
LONGEST = 6
TEXTS = ["".join(text) for length in range(LONGEST + 1) for text in product(LETTERS, repeat=length)]
PRINTABLE = "".join(sorted("\n " + string.ascii_letters + string.digits + ".,;:!?-'\"()"))


def walk(pattern, text, characters=LETTERS):
    """Return the state after `text`, None where it does not fit."""
    state = pattern.start
    for character in text:
        identity = characters.index(character)
        if not pattern.allowed(state, None)[identity]:
            with pytest.raises(UsageError, match=r"does not fit\. Received: .*Accepted: "):
                pattern.step(state, identity)
            return None
        state = pattern.step(state, identity)
    return state


def agrees(pattern, is_accepted, characters=LETTERS):
    """Compare with all texts of up to `LONGEST` characters, with every number of characters left."""
    accepted = {text for text in TEXTS if is_accepted(text)}
    fewest = {}  # prefix -> characters to the nearest accepted text that is short enough
    for text in accepted:
        for end in range(len(text) + 1):
            fewest[text[:end]] = min(fewest.get(text[:end], math.inf), len(text) - end)
    for text in TEXTS:
        state = walk(pattern, text, characters)
        if state is None:
            assert text not in fewest
            continue
        assert pattern.may_end(state) == (text in accepted)
        least, left = pattern.least(state), LONGEST - len(text)
        assert least == fewest[text] if text in fewest else least > left
        for remaining in range(left + 1):
            expected = [fewest.get(text + character, math.inf) < remaining for character in characters]
            np.testing.assert_array_equal(pattern.allowed(state, remaining), expected)
        mask = pattern.allowed(state, None)
        for identity, character in enumerate(characters):
            if left and mask[identity]:  # no dead ends: somewhere there is an accepted text
                assert least <= pattern.least(pattern.step(state, identity)) + 1
                completes(pattern, pattern.step(state, identity), characters)
            elif left:
                assert text + character not in fewest
        assert pattern.must_end(state) == (text in accepted and not mask.any())


def completes(pattern, state, characters):
    """Follow the shortest way and see that it is as long as was said."""
    for remaining in range(pattern.least(state), 0, -1):
        assert pattern.least(state) == remaining
        mask = pattern.allowed(state, remaining)
        assert mask.any()
        state = pattern.step(state, int(mask.argmax()))
    assert pattern.may_end(state)


# Regular expressions.

ATOMS = st.sampled_from(
    ["a", "b", r"\n", ".", "[ab]", "[^a]", r"\s", r"\w", r"\W", "(?s:.)", "(?i:A)", ""]
)
COUNTS = st.sampled_from(
    ["*", "+", "?", "*?", "+?", "??", "{2}", "{,2}", "{1,3}", "{2,}", "{0}", "{0,2}?"]
)


def larger(inner):
    return st.one_of(
        st.tuples(inner, COUNTS).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda each: f"({'|'.join(each)})"),
    )


REGEXES = st.recursive(ATOMS, larger, max_leaves=6)


def of(pattern, characters=LETTERS):
    """Return the pattern, None where nothing matches, which `re` must agree with."""
    try:
        return Pattern.regex(pattern, characters)
    except UsageError as error:
        assert "No text satisfies the constraints. Received: the pattern" in str(error)
        assert not any(re.fullmatch(pattern, text) for text in TEXTS)
        return None


@settings(max_examples=60)
@given(regex=REGEXES)
def test_expressions_accept_what_re_matches(regex):
    if pattern := of(regex):
        agrees(pattern, re.compile(regex).fullmatch)


@settings(max_examples=60)
@given(first=REGEXES, second=REGEXES, banned=st.sampled_from(["a", "ab", "b\n", "aba"]))
def test_intersections_accept_what_all_accept(first, second, banned):
    one, other = of(first), of(second)
    assume(one and other)

    def is_accepted(text):
        return bool(re.fullmatch(first, text) and re.fullmatch(second, text) and banned not in text)

    try:
        both = one & other & Pattern.without([banned], LETTERS)
    except UsageError as error:
        assert "No text satisfies the constraints" in str(error)
        assert not any(map(is_accepted, TEXTS))
    else:
        agrees(both, is_accepted)


@pytest.mark.parametrize(
    ("regex", "good", "bad"),
    [
        (r"\d{4}-\d{2}-\d{2}", ["2026-11-23"], ["2026-11-2", "2026-11-233", ""]),
        (r"([A-Z][a-z]+ ){2,3}\.", ["So It ."], ["So .", "So It Is Ok .", "so It ."]),
        (r"(?i:yes|no)", ["yEs", "NO"], ["y", "noo"]),
        (r"(?i)q(?-i:u)", ["Qu", "qu"], ["QU"]),
        (r"a(?i:a)a", ["aAa", "aaa"], ["Aaa", "aaA"]),
        (r"(?s)a.b", ["a\nb"], ["ab"]),
        (r"(?x) a [ ] b # no space counts", ["a b"], ["ab"]),
        (r"^(?:^a|\Ab$|c\Z)$", ["a", "b", "c"], ["ab", ""]),
        (r"(?P<name>a)\.", ["a."], ["ab"]),
        (r"[]a-c-]+", ["-abc"], ["d"]),
        (r"[^\W\d]\x41\u0042", ["zAB"], ["1AB"]),
        (r"(?:)*(?:){9999}a?", ["", "a"], ["aa"]),
        (r"((a*)*)*(?:b|)+", ["", "aab"], ["ba"]),
    ],
)
def test_syntax(regex, good, bad):
    pattern = Pattern.regex(regex, PRINTABLE)
    for text in good:
        assert re.fullmatch(regex, text)
        assert pattern.may_end(walk(pattern, text, PRINTABLE))
    for text in bad:
        assert not re.fullmatch(regex, text)
        state = walk(pattern, text, PRINTABLE)
        assert state is None or not pattern.may_end(state)


@pytest.mark.parametrize(
    "regex", [r"\w", r"\d", r"\s", "(?i:k)", "(?ia:k)", r"(?a:\w)", "(?i:[^s])", "[α-ω]"]
)
def test_a_character_matches_as_in_re(regex):
    """Unicode and its foldings: the Kelvin sign is a k, the long s an s."""
    characters = "".join(map(chr, range(0x250))) + "αως٣\u2028\u212a"
    mask = Pattern.regex(regex, characters).allowed(0, 1)
    assert mask.tolist() == [bool(re.fullmatch(regex, character)) for character in characters]


@pytest.mark.parametrize(
    ("regex", "what"),
    [
        *(
            (regex, "cannot be read")
            for regex in ("(", "a**", "[b-a]", "a{3,2}", "(?q)", r"\8", "*", "(?L)a")
        ),
        *((regex, "cannot be read") for regex in ("(" * 5000 + ")" * 5000, "a{99999999999}", r"\N{no}")),
        (r"(a)\1", "a reference to a group"),
        ("(a)?(?(1)b|a)", "a condition on a group"),
        *((regex, "a look around") for regex in ("(?=a)a", "(?!b)a", "(?<=a)b", "(?<!a)b", "a(?!)")),
        *((regex, "a possessive repeat") for regex in ("a*+", "a{1,2}+")),
        ("(?>a|ab)", "an atomic group"),
        *(
            (regex, "an anchor that is not at")
            for regex in ("a^b", "a$b", "(^a)*", r"a\b", r"\B", "(a|b$)a")
        ),
        (None, "must be text"),
        (b"a", "must be text"),
    ],
)
def test_what_cannot_be_used(regex, what):
    with pytest.raises(
        UsageError, match=rf"(?s)pattern .*{what}.* Received: .* Accepted: Python's syntax"
    ):
        Pattern.regex(regex, LETTERS)


@pytest.mark.parametrize("regex", ["c", "ac?d", "[^\\s\\S]", "a[c-z]", "(c|d)+b"])
def test_what_no_text_of_the_vocabulary_can_be(regex):
    with pytest.raises(
        UsageError, match=r"No text satisfies .*Received: the pattern .*Accepted: .*3 characters"
    ):
        Pattern.regex(regex, LETTERS)


def test_what_re_warns_of_is_read_as_re_reads_it():
    mask = Pattern.regex("[[a]", "[ab").allowed(0, 1)  # warnings are errors here
    assert mask.tolist() == [True, True, False]


# Other forms.


@pytest.mark.parametrize("word", ["a", "Ab", "aB", "bab"])
def test_acrostic(word):
    def is_accepted(text):
        lines = text.split("\n")
        return len(lines) == len(word) and all(
            line.lower().startswith(letter.lower()) for line, letter in zip(lines, word, strict=True)
        )

    assert any(map(is_accepted, TEXTS))
    agrees(Pattern.acrostic(word, LETTERS), is_accepted)


def test_acrostic_lines_of_a_length():
    pattern = Pattern.acrostic("ab", LETTERS, longest=2)
    agrees(pattern, lambda text: re.fullmatch(r"a[^\n]?\nb[^\n]?", text, re.IGNORECASE))


def test_acrostic_of_signs():
    pattern = Pattern.acrostic("(R.", "\n(.Rrx")
    assert pattern.may_end(walk(pattern, "(x\nr\n.", "\n(.Rrx"))
    assert walk(pattern, "(x\nx", "\n(.Rrx") is None


@pytest.mark.parametrize("text", ["a", "ab", "aa", "aba", "a\nab", "abab"])
def test_containing(text):
    agrees(Pattern.containing(text, LETTERS), lambda candidate: text in candidate)


@pytest.mark.parametrize(
    "texts",
    [["a"], ["ab", "ba"], ["aab", "ab\n", "b"], ["abab", "bb"], ["xa"], ["a", "b", "\n"], ["ax", "aa"]],
)
def test_without(texts):
    agrees(
        Pattern.without(texts, LETTERS), lambda candidate: not any(text in candidate for text in texts)
    )


@pytest.mark.parametrize("texts", [["abbbba", "bba"], ["aab", "b\n"], ["ba", "aa\n", "xb"]])
def test_any_of_several_texts(texts):
    machine = Occurrences(texts, LETTERS, "a text", wanted=True)
    agrees(Pattern(machine), lambda text: any(each in text for each in texts))


def test_required_and_banned_texts_in_an_acrostic():
    pattern = (
        Pattern.acrostic("ab", LETTERS)
        & Pattern.containing("bb", LETTERS)
        & Pattern.without(["aa"], LETTERS)
    )
    agrees(
        pattern,
        lambda text: bool(re.fullmatch("a.*\nb.*", text)) and "bb" in text and "aa" not in text,
    )
    assert pattern.least(pattern.start) == 4


@pytest.mark.parametrize(
    "make",
    [
        *(lambda word=word: Pattern.acrostic(word, LETTERS) for word in ("", "a b", "a\n", None)),
        lambda: Pattern.acrostic("ac", LETTERS),
        lambda: Pattern.acrostic("ab", "ab"),
        lambda: Pattern.containing("", LETTERS),
        lambda: Pattern.containing("c", LETTERS),
        lambda: Pattern.containing("a" * 100_001, LETTERS),
        lambda: Pattern.containing(None, LETTERS),
        *(lambda texts=texts: Pattern.without(texts, LETTERS) for texts in ([], ["a", ""], "ab", [1])),
        *(lambda letters=letters: Pattern.regex("a", letters) for letters in ("", "aa", ["a", "bc"])),
        lambda: Pattern.containing("a", LETTERS) & Pattern.without(["a"], LETTERS),
        lambda: Pattern.regex("(?s:...)*", LETTERS) & Pattern.regex("a{5}", LETTERS),
    ],
)
def test_bad_forms(make):
    with pytest.raises(UsageError, match=r"(?s)\. Received: .* Accepted: "):
        make()


def test_patterns_of_different_vocabularies():
    with pytest.raises(UsageError, match=r"the same vocabulary.*Received: '3 and 3 .*Accepted: "):
        _ = Pattern.regex("a", LETTERS) & Pattern.regex("a", "abc")


# The search that an intersection needs.


def relaxed(edges, needs):
    """Return the least numbers that shrink by at most 1 along an edge (Bellman and Ford)."""
    needs = list(needs)
    for _ in edges:
        for number, following in enumerate(edges):
            needs[number] = min(needs[number], 1 + min(needs[after] for after in following))
    return needs


class Graph:
    name, characters = "a graph", "ab"

    """A machine that knows only bounds: any that are not above the needs and shrink as they do."""

    exact = False
    start = (0,)

    def __init__(self, edges, accepting, guesses):
        self.classes, self.edges = np.arange(2), edges
        places = range(len(edges))
        self.needs = relaxed(edges, [0 if number in accepting else math.inf for number in places])
        self._bounds = relaxed(edges, [min(n, g) for n, g in zip(self.needs, guesses, strict=True)])

    def follow(self, node):
        return [(after,) for after in self.edges[node[0]]]

    def bound(self, node):
        return self._bounds[node[0]]


@settings(max_examples=300)
@given(data=st.data(), size=st.integers(2, 14))
def test_the_search_finds_every_shortest_way(data, size):
    nodes = st.integers(0, size - 1)
    edges = data.draw(st.lists(st.tuples(nodes, nodes), min_size=size, max_size=size))
    accepting = data.draw(st.sets(nodes, min_size=1, max_size=2))
    guesses = data.draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))
    graph = Graph(edges, accepting, guesses)
    assume(graph.needs[0] < math.inf)
    pattern = Pattern(graph)
    todo, visited = [pattern.start], set()
    while todo:
        state = todo.pop(data.draw(st.integers(0, len(todo) - 1)))
        visited.add(state)
        (number,) = pattern._nodes[state]
        assert pattern.least(state) == graph.needs[number]
        after = [graph.needs[each] for each in graph.edges[number]]
        assert pattern.allowed(state, None).tolist() == [need < math.inf for need in after]
        for remaining in range(size + 1):
            assert pattern.allowed(state, remaining).tolist() == [need < remaining for need in after]
        steps = {pattern.step(state, identity) for identity in (0, 1) if after[identity] < math.inf}
        todo += sorted(steps - visited - set(todo))


def test_the_search_mends_a_way_that_was_found_first():
    """Node 4 is reached by 1 and 3, which promise more than they keep, before it is by 2."""
    edges = [(1, 2), (3, 3), (4, 4), (4, 4), (5, 5), (6, 6), (7, 7), (7, 7)]
    pattern = Pattern(Graph(edges, {7}, [4, 3, 4, 2, 3, 2, 1, 1]))
    assert pattern.least(pattern.start) == 5


# Size and speed.


@pytest.mark.parametrize("regex", ["((a{20}){20}){20}", "(a?){4000000000}", "((a|b)?b){9999}"])
def test_too_large_to_read(monkeypatch, regex):
    monkeypatch.setattr(automata, "MOST_STATES", 3000)
    with pytest.raises(
        UsageError, match=r"too many states.*Received: the pattern .*Accepted: .*3,000 states"
    ):
        Pattern.regex(regex, LETTERS)


def test_too_large_to_search(monkeypatch):
    monkeypatch.setattr(patterns, "_MOST_CELLS", 20_000)
    lengths = [Pattern.regex(f"(?:a{{{length}}})+", LETTERS) for length in (17, 19)]
    with pytest.raises(
        UsageError, match=r"too many states.*Received: the pattern .* and the pattern .*Accepted: "
    ):
        _ = lengths[0] & lengths[1]


def test_states_are_made_as_they_are_visited():
    """Its smallest automaton has 2**60 states."""
    pattern = Pattern.regex("[ab]*a[ab]{59}", LETTERS)
    text = "ab" * 100 + "a" * 60
    assert pattern.may_end(walk(pattern, text))
    assert len(pattern._nodes) <= 2 * len(text) + 2


def test_a_large_vocabulary_costs_classes_not_characters():
    characters = [chr(0x4E00 + number) for number in range(4000)] + ["。", "\n"]
    pattern = Pattern.acrostic(characters[7] + characters[9], characters) & Pattern.without(
        [characters[20] + characters[30]], characters
    )
    assert pattern._class_count == 6
    mask = pattern.allowed(pattern.start, None)
    assert np.flatnonzero(mask).tolist() == [7]
    state = pattern.step(pattern.start, 7)
    assert pattern.allowed(state, None).sum() == 4002
    assert pattern.allowed(pattern.step(state, 20), None).sum() == 4001
    assert np.flatnonzero(pattern.allowed(state, 2)).tolist() == [4001]
    assert len({id(pattern.allowed(state, left)) for left in (None, 4, 99)}) == 1


def test_masks_cannot_be_changed():
    pattern = Pattern.regex("ab?", LETTERS)
    for remaining in (None, 1, 2):
        mask = pattern.allowed(pattern.start, remaining)
        with pytest.raises(ValueError, match="read-only"):
            mask[0] = True


def test_masks_that_were_dropped_are_made_again(monkeypatch):
    monkeypatch.setattr(patterns, "_MASK_BYTES", 0)
    agrees(Pattern.regex("a.{2,4}b", LETTERS), re.compile("a.{2,4}b").fullmatch)


@given(seed=st.integers(0, 999), extra=st.integers(0, 40))
def test_any_choice_of_allowed_characters_ends_in_time(verse, seed, extra):
    remaining, state, text = verse.least(verse.start) + extra, verse.start, ""
    generator = np.random.default_rng(seed)
    while (mask := verse.allowed(state, remaining)).any():
        identity = int(generator.choice(np.flatnonzero(mask)))
        text, state, remaining = text + PRINTABLE[identity], verse.step(state, identity), remaining - 1
    assert remaining == 0
    assert verse.may_end(state)
    assert re.fullmatch("[Rr].*\n[Oo].*\n[Ss].*\n[Ee].*", text)
    assert "thorn" in text
    assert "he" not in text
    assert "0" not in text


@pytest.fixture(scope="module")
def verse():
    """A form that takes four patterns."""
    return (
        Pattern.acrostic("ROSE", PRINTABLE)
        & Pattern.containing("thorn", PRINTABLE)
        & Pattern.without(["he", "rose"], PRINTABLE)
        & Pattern.regex(r"(?s:\D*)", PRINTABLE)
    )


def test_long_patterns_are_read_at_once():
    text = "ab" * 20_000
    for pattern in (
        Pattern.regex(text, LETTERS),
        Pattern.regex("(?:){4000000000}[ab]{40000}", LETTERS),
        Pattern.containing(text, LETTERS),
    ):
        assert pattern.least(pattern.start) == 40_000
        assert len(pattern._nodes) == 1
