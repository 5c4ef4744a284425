"""Characters and ids: immutable, sorted, saved, and never silent about the unknown."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.data import vocabulary
from lstmega.data.vocabulary import Vocabulary
from lstmega.errors import LstmegaError, PromptError, UsageError

ANY_TEXT = st.text(st.characters(exclude_categories=[]), min_size=1)  # lone surrogates included
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
ODD = (
    "e\u0301 👩‍👩‍👧 שלום \ufeff\u202e\ud83d\ude00 \udc80 𝔘"  # combining, ZWJ, right to left, surrogates
)


def bytes_of(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


class TestCharacters:
    @given(ANY_TEXT)
    def test_round_trip(self, text):
        known = Vocabulary.of(text)
        ids = known.encode(text)
        assert ids.dtype == np.int32
        assert ids.shape == (len(text),)
        assert known.decode(ids) == text
        assert set(ids.tolist()) == set(range(len(known)))

    @pytest.mark.parametrize(
        ("size", "kind"),
        [(2, "uint8"), (256, "uint8"), (257, "uint16"), (65_536, "uint16"), (65_537, "int32")],
    )
    def test_narrow_ids(self, size, kind):
        known = Vocabulary("".join(map(chr, range(size))))
        text = f"{known.characters[-1]}\0{known.characters[-1]}"
        assert known.encode_narrow(text).dtype == kind
        assert (
            known.encode_narrow(text).tolist() == known.encode(text).tolist() == [size - 1, 0, size - 1]
        )
        assert known.encode_narrow(text, 2).tolist() == [size - 1, 0]

    def test_code_points_are_the_tokens(self):
        known = Vocabulary.of(ODD)
        assert known.decode(known.encode(ODD)) == ODD
        assert len(known.encode(ODD)) == len(ODD)
        assert set("\u0301\u200d\u202e\ud83d\ude00") <= set(known.characters)

    def test_ids_are_positions_in_code_point_order(self):
        assert Vocabulary.of("banana").characters == "abn"
        assert Vocabulary.of("banana").encode("nab").tolist() == [2, 0, 1]

    @given(ANY_TEXT)
    def test_do_not_depend_on_the_order_of_the_text(self, text):
        assert Vocabulary.of(text) == Vocabulary.of(text[::-1])
        assert Vocabulary.of(text).sha256 == Vocabulary.of(text[::-1]).sha256

    def test_one_distinct_character(self):
        known = Vocabulary.of("aaaa")
        assert len(known) == 1
        assert known.encode("aa").tolist() == [0, 0]

    def test_chunks_do_not_show(self, monkeypatch):
        known = Vocabulary.of(ODD)
        expected = known.encode(ODD).tolist()
        monkeypatch.setattr(vocabulary, "_CHUNK", 3)
        assert known.encode(ODD).tolist() == expected

    def test_nothing_encodes_to_nothing(self):
        known = Vocabulary.of("a")
        assert known.encode("").shape == (0,)
        assert known.encode_prompt("").shape == (0,)
        assert known.decode([]) == ""

    def test_are_immutable(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            Vocabulary.of("a").characters = "b"

    @pytest.mark.parametrize("characters", ["", "ba", "aa"])
    def test_are_distinct_sorted_and_some(self, characters):
        with pytest.raises(UsageError, match="distinct characters in sorted order"):
            Vocabulary(characters)

    def test_need_a_text(self):
        with pytest.raises(UsageError, match="at least one character"):
            Vocabulary.of("")


class TestMaximum:
    def test_keeps_the_most_frequent(self):
        known = Vocabulary.of("aaabbcc!d", max_size=3)
        assert (known.characters, known.has_unknown, len(known)) == ("ab", True, 3)
        assert known.unknown_id == 2
        assert known.encode("abcd").tolist() == [0, 1, 2, 2]
        assert known.decode([0, 2]) == "a\N{REPLACEMENT CHARACTER}"

    def test_changes_nothing_where_all_fit(self):
        assert Vocabulary.of("abc", max_size=3) == Vocabulary.of("abc")
        assert Vocabulary.of("abc").unknown_id is None

    @pytest.mark.parametrize("size", [1, 0, -1])
    def test_has_a_bound(self, size):
        with pytest.raises(UsageError, match=f"--max-vocabulary .* at least 2. Received: {size}"):
            Vocabulary.of("abc", max_size=size)

    @given(ANY_TEXT, st.integers(2, 6))
    def test_encodes_every_text(self, text, size):
        known = Vocabulary.of(text, max_size=size)
        assert len(known) <= size
        expected = [c if c in known else "\N{REPLACEMENT CHARACTER}" for c in text]
        assert known.decode(known.encode(text)) == "".join(expected)


class TestPrompts:
    def test_unknown_characters_are_listed_with_code_points(self):
        with pytest.raises(PromptError) as caught:
            Vocabulary.of("abc").encode_prompt("a→b→é\ud800")
        message = str(caught.value)
        assert "'→' (U+2192), 'é' (U+00E9), '\\ud800' (U+D800)" in message
        assert "3: abc" in message
        assert "--unknown skip" in message
        assert caught.value.exit_code == 2
        message.encode()

    def test_the_list_is_cut(self):
        with pytest.raises(PromptError, match=r"and 16 more\. The vocabulary"):
            Vocabulary.of("-").encode("abcdefghijklmnopqrstuvwxyz")

    def test_skip_drops(self):
        known = Vocabulary.of("abc")
        assert known.decode(known.encode_prompt("xaéb", unknown="skip")) == "ab"
        assert known.encode_prompt("xyz", unknown="skip").shape == (0,)

    @pytest.mark.parametrize(
        ("text", "prompt", "folded"),
        [("abc", "ABC", "abc"), ("ABC", "áç", "AC"), ("e\u0301", "é", "e"), ("fi", "ﬁ", "fi"),
         ("abc", "→a", "a"), ("1", "①²", "1"), ("ab", "b", "b")],
    )  # fmt: skip
    def test_fold_takes_the_nearest_known_form(self, text, prompt, folded):
        known = Vocabulary.of(text)
        assert known.decode(known.encode_prompt(prompt, unknown="fold")) == folded

    def test_fold_ends_at_unk(self):
        known = Vocabulary.of("aaabbcd", max_size=3)
        assert known.encode_prompt("A→", unknown="fold").tolist() == [0, 2]

    def test_error_refuses_even_where_there_is_unk(self):
        with pytest.raises(PromptError, match=r"U\+2192"):
            Vocabulary.of("aaabbcd", max_size=3).encode_prompt("→")

    @given(ANY_TEXT, st.text(st.characters(exclude_categories=[])), st.sampled_from(["char", "byte"]))
    def test_skip_and_fold_take_any_prompt(self, text, prompt, kind):
        known = Vocabulary.of(bytes_of(text) if kind == "byte" else text, kind=kind)
        for policy in ("skip", "fold"):
            ids = known.encode_prompt(prompt, unknown=policy)
            assert set(ids.tolist()) <= set(range(len(known)))


class TestBytes:
    @given(st.binary(min_size=1))
    def test_round_trip(self, raw):
        known = Vocabulary.of(raw.decode("latin-1"), kind="byte")
        ids = known.encode(raw.decode("latin-1"))
        assert known.decode(ids).encode("latin-1") == raw

    def test_prompts_are_taken_as_utf_8(self):
        known = Vocabulary.of(bytes_of("né"), kind="byte")
        assert known.decode(known.encode_prompt("én")) == bytes_of("én")
        with pytest.raises(PromptError, match="byte 0xC3, byte 0xA3"):
            Vocabulary.of("a", kind="byte").encode_prompt("ã")

    def test_policies_see_characters_and_not_their_halves(self):
        known = Vocabulary.of(bytes_of("aé"), kind="byte")  # 0xC3 is known, 0xA3 is not
        assert known.decode(known.encode_prompt("ãé", unknown="skip")) == bytes_of("é")
        assert known.decode(known.encode_prompt("ãÉ", unknown="fold")) == bytes_of("aé")

    def test_are_below_256(self):
        with pytest.raises(UsageError, match=r"from 0 to 255. Received: 256"):
            Vocabulary("a\u0100", "byte")


class TestIncrementalDecoder:
    def spelled(self, known, ids) -> list[str]:
        decoder = known.incremental_decoder()
        return [decoder(int(number)) for number in ids] + [decoder.finish()]

    def test_gives_characters_one_by_one(self):
        known = Vocabulary.of("né")
        assert self.spelled(known, known.encode("én")) == ["é", "n", ""]

    def test_gives_a_sequence_of_bytes_when_it_is_complete(self):
        known = Vocabulary.of(bytes_of("a€"), kind="byte")
        assert self.spelled(known, known.encode(bytes_of("€a"))) == ["", "", "€", "a", ""]

    def test_shows_what_is_no_utf_8(self):
        known = Vocabulary.of("a\xc3\xff", kind="byte")
        assert "".join(self.spelled(known, known.encode("\xffa\xc3"))) == "\ufffda\ufffd"

    def test_shows_unk(self):
        known = Vocabulary("a", "byte", has_unknown=True)
        assert "".join(self.spelled(known, [0, 1, 0])) == "a\ufffda"

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    def test_agrees_with_the_whole(self, text):
        known = Vocabulary.of(bytes_of(text), kind="byte")
        assert "".join(self.spelled(known, known.encode(bytes_of(text)))) == text


class TestJson:
    @given(ANY_TEXT, st.none() | st.integers(2, 5))
    def test_round_trip(self, text, size):
        known = Vocabulary.of(text, max_size=size)
        again = Vocabulary.from_json(json.loads(json.dumps(known.to_json())))
        assert again == known
        assert again.sha256 == known.sha256

    def test_the_hash_tells_every_field(self):
        kinds = [Vocabulary("ab"), Vocabulary("ac"), Vocabulary("ab", "byte"),
                 Vocabulary("ab", has_unknown=True)]  # fmt: skip
        assert len({known.sha256 for known in kinds}) == 4
        # Written in runs that exist: this hash never changes.
        assert kinds[0].sha256 == ("f7afd0ef6b65bcf66065f7d215b05e0281d2f6d8b6a8c1ea854427e055da3992")

    @given(JSON)
    def test_any_json_is_a_vocabulary_or_refused(self, content):
        with pytest.raises(UsageError):
            Vocabulary.from_json(content)

    @given(JSON, JSON, JSON)
    def test_any_fields_make_a_vocabulary_or_are_refused(self, kind, has_unknown, points):
        content = {"kind": kind, "has_unknown": has_unknown, "code_points": points}
        with pytest.raises(UsageError):
            Vocabulary.from_json(content)

    @pytest.mark.parametrize(
        "change",
        [{"code_points": points} for points in
         ([], [98, 97], [97, 97], [-1], [0x110000], [True], [97.0], ["a"], [None], "ab", None)]
        + [{"kind": kind} for kind in ("word", "", None, 1, [])]
        + [{"has_unknown": flag} for flag in (0, 1, None, "no")]
        + [{"kind": "byte", "code_points": [256]}, {"more": 1}],
    )  # fmt: skip
    def test_hostile_fields(self, change):
        content = {"kind": "char", "has_unknown": False, "code_points": [97, 98]}
        assert Vocabulary.from_json(content) == Vocabulary("ab")
        with pytest.raises(UsageError):
            Vocabulary.from_json(content | change)

    def test_absent_fields(self):
        with pytest.raises(LstmegaError, match="must have the keys"):
            Vocabulary.from_json({"kind": "char", "has_unknown": False})

    def test_a_bomb_is_refused_before_it_is_looked_at(self):
        points = [0] * (vocabulary.MAX_SIZE + 1)
        with pytest.raises(UsageError, match="from 1 to 1200000"):
            Vocabulary.from_json({"kind": "char", "has_unknown": False, "code_points": points})


def test_a_real_text(real_corpus):
    text = real_corpus("nietzsche.txt").read_text(encoding="utf-8")
    known = Vocabulary.of(text)
    assert len(known) == 84
    assert known.decode(known.encode(text)) == text
