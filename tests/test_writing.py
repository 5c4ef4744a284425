import pytest

import lstmega
from lstmega import sampling
from lstmega.errors import PromptError, UsageError
from lstmega.options import WritingOptions
from lstmega.writing import Session
from tests.scripted import LETTERS, FakeRun, real_run, spelling


def session(run=None, **more):
    return Session(run or real_run(), **{"prompt": "once ", "seed": 5, "length": 30} | more)


class Counting:
    """A decoder that says how many characters it read."""

    def __init__(self, decoder):
        self._decoder, self.read_ids = decoder, []

    def read(self, ids, states):
        self.read_ids += list(ids)
        return self._decoder.read(ids, states)

    def __getattr__(self, name):
        return getattr(self._decoder, name)


def test_what_is_picked_is_what_the_whole_text_goes_on_with():
    """Going on from the kept state equals reading everything again."""
    run, ours = real_run(), session()
    for _ in range(3):
        ours.propose()
        ours.pick(2)
    ours.add("upon a")
    proposals = ours.propose()
    again = sampling.sample(
        run, prompt=ours.text, temperatures=[0.4, 0.7, 1.0], length=30, seed=proposals[0].seed
    )
    for proposal, expected in zip(proposals, again, strict=True):
        assert expected.text.startswith(proposal.text)
        assert proposal.text


def test_everything_is_read_once():
    decoder = Counting(real_run().decoder())
    ours = session(FakeRun(decoder), prompt="a long prompt " * 20)
    start = len(decoder.read_ids)
    assert start == 280
    ours.propose()
    added = ours.pick(1)
    assert len(decoder.read_ids) == start + len(added)
    ours.undo()
    ours.redo()
    ours.undo()
    ours.propose()
    ours.add("xyz")
    assert len(decoder.read_ids) == start + len(added) + 3
    ours.cut(3)  # back to a text that was read
    assert len(decoder.read_ids) == start + len(added) + 3


def test_the_same_seed_and_steps_give_the_same_text():
    def written(seed):
        ours = session(seed=seed)
        for number in (1, 3, 2):
            ours.propose()
            ours.pick(number)
        return ours.text

    assert written(5) == written(5) != written(6)


def test_each_turn_proposes_something_else():
    ours = session(temperatures=[1.0])
    assert ours.propose()[0].text != ours.propose()[0].text


def test_proposals_end_with_a_whole_word():
    ours = session(spelling("two words"), length=6, temperatures=[0])
    assert ours.propose()[0].text == "two "
    assert session(spelling("wordswords"), length=6, temperatures=[0]).propose()[0].text == "wordsw"
    bound = session(spelling("two words"), length=6, options=WritingOptions(regex="[a-z ]*"))
    assert len(bound.propose()[0].text) == 6


def test_undo_and_redo():
    ours = session()
    texts = [ours.text]
    for said in ("upon", " a", " time"):
        ours.add(said)
        texts.append(ours.text)
    for text in reversed(texts[:-1]):
        ours.undo()
        assert ours.text == text
    with pytest.raises(UsageError, match="nothing to undo"):
        ours.undo()
    for text in texts[1:]:
        ours.redo()
        assert ours.text == text
    with pytest.raises(UsageError, match="nothing to do again"):
        ours.redo()
    ours.undo()
    ours.add("!".replace("!", "x"))
    with pytest.raises(UsageError):
        ours.redo()  # another way was taken


def test_any_text_may_be_put_in_its_place():
    ours = session()
    ours.add("upon a time")
    assert ours.cut(5) == " time"
    ours.replace("another story")  # that begins otherwise
    fresh = session(prompt="another story")
    assert [p.text for p in ours._desk.write(ours._past[-1].position, ours._start, length=20)] == [
        p.text for p in fresh._desk.write(fresh._past[-1].position, ours._start, length=20)
    ]
    ours.undo()
    assert ours.text == "once upon a"
    with pytest.raises(UsageError, match="characters to cut must be from 1 to 11"):
        ours.cut(12)


def test_temperatures_may_change():
    ours = session()
    ours.heat([0])
    assert [proposal.temperature for proposal in ours.propose()] == [0.0]
    with pytest.raises(UsageError):
        ours.heat([-1])


def test_mistakes_change_nothing():
    ours = session()
    with pytest.raises(UsageError, match=r"There are 0 proposals. Received: 1"):
        ours.pick(1)
    ours.propose()
    for number in (0, 4):
        with pytest.raises(UsageError, match=f"There are 3 proposals. Received: {number}"):
            ours.pick(number)
    with pytest.raises(PromptError, match="U\\+00C9"):
        ours.add("É")
    assert ours.text == "once "
    assert ours.pick(1)
    lenient = session(unknown="skip")
    lenient.add("É")
    assert lenient.text == "once É"
    assert lenient.propose()


def test_a_text_of_bytes():
    from lstmega.vocabulary import Vocabulary

    said = "né "
    vocabulary = Vocabulary.of(said.encode().decode("latin-1"), kind="byte")
    ours = session(spelling(said, vocabulary), prompt="né ", length=8, temperatures=[0])
    assert ours.propose()[0].text == "né né "
    ours.pick(1)
    assert ours.text == "né né né "


def test_the_text_is_saved(tmp_path):
    ours = session()
    assert ours.save(tmp_path / "text.txt").read_text() == "once "


def test_an_empty_prompt_begins_at_a_line():
    ours = session(prompt="")
    assert ours.text == ""
    ours.add("a")
    assert LETTERS.decode(ours._past[-1].position.ids) == "\na"


def test_the_verb(tiny_run):
    ours = lstmega.write(tiny_run, prompt="the ", seed=1, length=10, no_repeat=4)
    assert len(ours.propose()) == 3
    ours.pick(1)
    assert ours.text.startswith("the ")
