"""Real texts from end to end: accents, thousands of symbols, CRLF, code, and what a few steps learn."""

import math
from collections import Counter

import pytest

import lstmega

pytestmark = pytest.mark.slow
SMALL = {"preset": "tiny", "units": 64, "steps": 150, "progress": False, "run": "a"}


@pytest.mark.parametrize(
    "name", ["nietzsche.txt", "dom_casmurro.txt", "nottingham.abc", "hongloumeng.txt"]
)
def test_learns_and_writes(real_corpus, name, tmp_path):
    """After some steps better than guessing by frequency, in the text's own characters."""
    path = tmp_path / name
    path.write_bytes(real_corpus(name).read_bytes()[:600_000].rsplit(b"\n", 1)[0])
    corpus = lstmega.read([path])
    run = lstmega.train(path, checkpoints=tmp_path, **SMALL)
    found = run.history()[-1].validation_bits
    assert found < frequency_bits(corpus.text)
    assert corpus.text.endswith(run.held_out)
    for sample in lstmega.sample(run, temperatures=[0, 0.8], length=100, seed=0):
        assert len(sample.text) == 100
        assert set(sample.text) <= set(corpus.text)
    assert "\r" not in run.vocabulary.characters


def frequency_bits(text):
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


def test_bytes_of_a_text_in_another_encoding(real_corpus, tmp_path):
    path = real_corpus("odd/gb18030_sanguoyanyi.txt")
    run = lstmega.train(path, checkpoints=tmp_path, tokens="byte", **SMALL | {"steps": 20})
    assert len(run.vocabulary) <= 256
    assert lstmega.sample(run, length=50)[0].text
