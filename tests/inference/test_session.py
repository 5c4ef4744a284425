import pytest

import lstmega
from lstmega.config.generation import GenerationConfig
from lstmega.data.vocabulary import Vocabulary
from lstmega.errors import PromptError, UsageError
from lstmega.inference import generate as sampling
from lstmega.inference.session import Session, load_text
from tests.scripted import LETTERS, Fair, FakeRun, Scripted, real_run, spelling


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


def proposes_what_is_sampled(ours, run, length):
    proposals = ours.propose()
    how = {"prompt": ours.text, "temperatures": [0.4, 0.7, 1.0], "length": length}
    again = sampling.sample(run, **how, seed=proposals[0].seed)
    for proposal, expected in zip(proposals, again, strict=True):
        assert expected.text.startswith(proposal.text)
        assert proposal.text


def test_what_is_picked_is_what_the_whole_text_goes_on_with():
    """Going on from the kept state equals reading everything again."""
    run, ours = real_run(), session()
    for _ in range(3):
        ours.propose()
        ours.pick(2)
    ours.add("upon a")
    proposes_what_is_sampled(ours, run, 30)


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
    for said in ("one", "two"):
        ours.add(said)
    assert LETTERS.decode(decoder.read_ids[-6:]) == "onetwo"
    assert len(decoder.read_ids) == start + len(added) + 9


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
    bound = session(spelling("two words"), length=6, config=GenerationConfig(regex="[a-z ]*"))
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
    with pytest.raises(UsageError, match="Nothing to undo"):
        ours.undo()
    for text in texts[1:]:
        ours.redo()
        assert ours.text == text
    with pytest.raises(UsageError, match="Nothing to redo"):
        ours.redo()
    ours.undo()
    ours.add("!".replace("!", "x"))
    with pytest.raises(UsageError):
        ours.redo()  # another way was taken


def test_undo_brings_back_the_proposals():
    ours = session()
    ours.propose()
    seen = ours.propose()
    ours.pick(1)
    assert ours.proposals is None
    after = ours.propose()
    ours.undo()
    assert ours.proposals is seen
    ours.redo()
    assert ours.proposals is after
    ours.undo()
    ours.pick(3)
    assert ours.text == "once " + seen[2].text


def test_any_text_may_be_put_in_its_place():
    ours = session()
    ours.add("upon a time")
    assert ours.cut(5) == " time"
    ours.replace("another story")  # that begins otherwise
    fresh = session(prompt="another story")
    assert [p.text for p in ours._generator.write(ours._past[-1].position, ours._start, length=20)] == [
        p.text for p in fresh._generator.write(fresh._past[-1].position, ours._start, length=20)
    ]
    ours.undo()
    assert ours.text == "once upon a"
    with pytest.raises(UsageError, match="characters to cut must be from 1 to 11"):
        ours.cut(12)


def test_the_last_line_may_be_edited():
    decoder = Counting(real_run().decoder())
    ours = session(FakeRun(decoder), prompt="one\n")
    ours.add("two")
    assert ours.last_line == "two"
    before = len(decoder.read_ids)
    ours.edit("other")
    assert ours.text == "one\nother"
    assert len(decoder.read_ids) == before + len("other")  # the first line was not read again
    ours.undo()
    assert ours.text == "one\ntwo"
    ours.add("\n")
    ours.edit("three")
    assert ours.text == "one\ntwo\nthree"


def test_settings_may_change():
    decoders = []

    class Run(FakeRun):
        def decoder(self, mix=None):
            decoders.append(super().decoder())
            return decoders[-1]

    ours = session(Run(real_run().decoder()))
    ours.temperatures = [0, 0.9]
    ours.num_samples, ours.length = 2, 7
    proposals = ours.propose()
    assert [proposal.temperature for proposal in proposals] == [0.0, 0.0, 0.9, 0.9]
    assert max(len(proposal.text) for proposal in proposals) <= 7
    expected = sampling.sample(
        real_run(),
        prompt="once ",
        temperatures=[0, 0.9],
        length=7,
        num_samples=2,
        seed=proposals[0].seed,
    )
    for proposal, whole in zip(proposals, expected, strict=True):
        assert whole.text.startswith(proposal.text)
    for name, value in (("num_samples", 0), ("length", 0), ("length", 2.5)):
        with pytest.raises(UsageError):
            setattr(ours, name, value)
    with pytest.raises(UsageError):
        ours.temperatures = [-1]
    assert [proposal.temperature for proposal in ours.propose()] == [0.0, 0.0, 0.9, 0.9]
    assert len(decoders) == 1  # states and weights of one session are of the same model


@pytest.mark.parametrize(
    ("said", "options", "proposals"),
    [
        ("one\ntwo\n", {"lines": 1}, ["one\n", "two\n"]),
        ("a\nb\nc\nd\n", {"lines": 2}, ["a\nb\n", "c\nd\n"]),
        ("one.two.", {"stop": (".",)}, ["one.", "two."]),
        ("one, two. ", {"stop": (". ", ", ")}, ["one, ", "two. "]),
    ],
)
def test_what_ends_a_proposal_belongs_to_it(said, options, proposals):
    """Without it the next proposals would be empty: the model would begin with that same end."""
    ours = session(following(said), prompt="x", temperatures=[0], config=GenerationConfig(**options))
    for proposal in proposals:
        assert ours.propose()[0].text == proposal
        ours.pick(1)
    assert ours.text == "x" + "".join(proposals)


def following(said):
    """Return a run that goes on with a text from the place to which what it has read leads."""
    vocabulary = Vocabulary.of(said + "x")

    class Following(Scripted):
        def read(self, ids, states):
            for _ in ids:
                states = ((states[0][0] + 1,),)
            return self._logits(((states[0][0] - 1,),)), states

        def step(self, ids, states):
            return self.read([0], states)

    return FakeRun(Following(vocabulary.encode(said), len(vocabulary)), vocabulary)


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
    said = "né "
    vocabulary = Vocabulary.of(said.encode().decode("latin-1"), kind="byte")
    ours = session(spelling(said, vocabulary), prompt="né ", length=8, temperatures=[0])
    assert ours.propose()[0].text == "né né "
    ours.pick(1)
    assert ours.text == "né né né "


def test_what_is_no_character_can_be_picked_and_cut():
    vocabulary = Vocabulary.of("né ".encode().decode("latin-1"), kind="byte")
    torn = FakeRun(Scripted(vocabulary.encode("n\xc3 "), len(vocabulary)), vocabulary)
    ours = session(torn, prompt="né ", length=3)
    assert ours.propose()[0].text == "n\N{REPLACEMENT CHARACTER} "
    ours.pick(1)
    assert ours.text == "né n\N{REPLACEMENT CHARACTER} "
    assert ours.cut(1) == " "
    half = session(spelling("né", vocabulary), prompt="né ", length=2, temperatures=[0])
    assert half.propose()[0].text == "n"  # not half of the é
    unknown = FakeRun(Fair(4), Vocabulary(" ab", has_unknown=True), held_out="axb ab")
    begun = session(unknown, prompt=None)
    assert begun.text == "a\N{REPLACEMENT CHARACTER}b ab"
    begun.cut(1)
    assert begun.text == "a\N{REPLACEMENT CHARACTER}b a"


def test_the_text_is_saved_and_goes_on(tmp_path):
    ours, path = session(prompt="once\n"), tmp_path / "text.txt"
    assert ours.save(path).read_bytes() == b"once\n"
    ours.add("upon")
    assert ours.save(path).read_bytes() == b"once\nupon"
    again = session(prompt=load_text(path))
    assert [p.text for p in again.propose()] == [p.text for p in ours.propose()]
    again.save(path)


def test_no_other_text_is_replaced(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a novel")
    with pytest.raises(UsageError, match=r"text\.txt holds another text"):
        session().save(path)
    assert path.read_text() == "a novel"
    path.write_bytes(b"\xff")
    for bad in (path, tmp_path, tmp_path / "nowhere" / "text.txt"):
        with pytest.raises(UsageError, match="Received: "):
            session().save(bad)
    path.write_bytes(b"")
    link = tmp_path / "link.txt"
    link.symlink_to(path)
    session().save(link)
    assert (link.is_symlink(), path.read_text()) == (True, "once ")


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


class TestAdapting:
    def session(self, **more):
        return session(**{"adapt": True, "temperatures": [0.6]} | more)

    def test_the_same_seed_and_steps_give_the_same_text(self):
        def written(adapt):
            ours = self.session(adapt=adapt)
            ours.add("the quick brown fox " * 20)
            for _ in range(2):
                ours.propose()
                ours.pick(1)
            return ours.text

        assert written(True) == written(True) != written(False)

    def test_it_writes_what_its_author_repeats(self):
        ours = self.session(temperatures=[0])
        assert "brown fox" not in ours.propose()[0].text
        ours.add("the quick brown fox jumps " * 20 + "the quick ")
        assert ours.propose()[0].text.startswith("brown fox jumps the quick ")

    def test_undo_forgets(self):
        """After an undo the session goes on as one that never had the text."""
        ours, fresh = self.session(), self.session()
        ours.add("the quick brown fox " * 20)
        assert ours._past[-1].position.decoder is not ours._past[0].position.decoder
        ours.undo()
        assert ours.propose()[0].text == fresh.propose()[0].text
        ours.redo()
        again, other = ours.propose()[0].text, self.session()
        other.add("the quick brown fox " * 20)
        other.propose()
        assert other.propose()[0].text == again

    def test_proposals_are_not_learnt(self):
        ours = self.session()
        ours.propose()
        learnt = ours._past[0].position.decoder.adaptation
        added = ours.pick(1)
        assert ours._past[-1].position.decoder.adaptation.kernel is learnt.kernel
        ours.cut(len(added) // 2)
        assert ours._past[-1].position.decoder.adaptation.kernel is learnt.kernel
        ours.add("fox")
        assert ours._past[-1].position.decoder.adaptation.kernel is not learnt.kernel

    def test_a_part_of_what_was_added_stays_learnt(self):
        ours, other = self.session(), self.session()
        ours.add("the quick brown fox")
        ours.cut(len(" fox"))
        other.add("the quick brown")
        other.propose()
        ours.propose()
        assert ours.propose()[0].text == other.propose()[0].text

    def test_a_cut_forgets(self):
        ours, fresh = self.session(), self.session()
        ours.add("fox")
        ours.cut(3)
        assert ours.propose()[0].text == fresh.propose()[0].text

    def test_the_heading_says_so(self):
        assert self.session().heading.endswith(", adapts to what you write")
        assert "adapts" not in session().heading

    def test_without_it_proposals_are_those_of_sample(self, tiny_run):
        ours = lstmega.write(tiny_run, prompt="the ", seed=1, length=40, adapt=False)
        ours.add("owl and ")
        proposes_what_is_sampled(ours, tiny_run, 40)
        adapting = lstmega.write(tiny_run, prompt="the ", seed=1, length=40)
        assert "adapts" in adapting.heading and "adapts" not in ours.heading
