import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import lstmega
from lstmega.data.corpus import Corpus
from lstmega.errors import UsageError
from lstmega.evaluation.sweep import Level, Sweep
from lstmega.evaluation.text_statistics import Reference, together
from lstmega.inference.outputs import Sample, Samples
from tests.conftest import TINY


@pytest.fixture(scope="module")
def swept(tiny_run_directory, text):
    return lstmega.sweep(
        lstmega.load(tiny_run_directory),
        corpus=Corpus.from_text(text, name="owl"),
        temperatures=[1.0, 0.1, 0.5, 1.0],
        length=300,
        num_samples=2,
        seed=0,
    )


def made(
    said, *, held_out="", training="the owl sat in the old oak tree and the cat lay on the mat. " * 3
):
    """Return a sweep of texts that are given."""
    reference = Reference(training)
    levels = tuple(
        Level(
            temperature,
            1.0,
            together([reference.analyse(text) for text in texts]),
            Samples(Sample("r", temperature, 0, "p", text) for text in texts),
        )
        for temperature, texts in said.items()
    )
    return Sweep("r", levels, reference.analyse(held_out) if held_out else None, 1.0, reference)


def test_levels_are_the_temperatures_in_order_once_each(swept):
    assert [level.temperature for level in swept] == [0.1, 0.5, 1.0]
    assert all(len(level.samples) == 2 for level in swept)
    assert all(level.analysis.characters == 600 for level in swept)
    assert swept[0].temperature == 0.1
    assert [level.temperature for level in swept[1:]] == [0.5, 1.0]


def test_texts_are_those_of_sample(swept, tiny_run):
    found = lstmega.sample(tiny_run, temperatures=[0.5], length=300, num_samples=2, seed=0)
    assert [item.text for item in swept[1].samples] == [item.text for item in found]


def test_bits_are_what_the_texts_cost_the_model(swept, tiny_run):
    nats = np.concatenate([item.nats for item in swept[2].samples])
    assert swept[2].nats_per_character == pytest.approx(nats.mean())
    assert swept[0].bits_per_character < swept[2].bits_per_character


def test_the_held_out_text_is_cut_to_the_same_length(swept, tiny_run):
    assert swept.held_out.characters == min(600, len(tiny_run.held_out))
    assert swept.held_out_nats == tiny_run.record.best.nats


def test_json_is_a_list_with_one_object_for_each_temperature(swept):
    content = json.loads(json.dumps(swept.to_dicts()))
    assert [item["temperature"] for item in content] == [0.1, 0.5, 1.0]
    assert set(content[0]) == {
        "temperature", "bits_per_character", "characters", "known_words", "distinct", "repeated",
        "loops", "novelty", "copied", "longest_copy", "passages", "samples",
    }  # fmt: skip


KNOWN = "z the owl sat in the old oak tree and the cat lay on z"
HALF = "z the owl qat in the olk oak tree anx the cbt lay on z"


def test_the_recommendation_keeps_the_most_words_and_avoids_loops():
    found = made({0.2: ["the owl " * 20], 0.5: [KNOWN], 0.6: [KNOWN], 0.7: [KNOWN], 0.9: [HALF]})
    assert [level.temperature for level in found.recommended] == [0.5, 0.6, 0.7]
    assert found.recommendation == (
        "0.5-0.7 keep 100% of the words known and copy nothing longer than "
        f"{found[1].analysis.longest} characters."
    )


def test_temperatures_that_are_no_neighbours_are_told_one_by_one():
    found = made({0.5: [KNOWN], 0.6: ["the owl " * 20], 0.7: [KNOWN], 0.9: [KNOWN]})
    assert found.recommendation.startswith("0.5, 0.7, 0.9 keep")


def test_texts_without_any_copy():
    assert made({0.5: ["z mat cat z"]}).recommendation == (
        "0.5 keeps 100% of the words known and copies nothing longer than 29 characters."
    )


def test_when_nothing_can_be_recommended():
    found = made({0.2: ["the owl " * 20], 1.4: ["z qq ww ee rr z"]})
    assert found.recommended == ()
    assert "None of these temperatures" in found.recommendation


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.ids, self.said = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.links += [attributes[name] for name in ("href", "src") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []

    def handle_data(self, data):
        self.said.append(data)


def test_the_page_links_each_copy_to_its_source():
    training = "line one\n" + "a very long passage that is copied word for word, and more of it"
    copied = training[20:60]
    found = made({0.5: [f"new {copied} new", "also " + copied]}, training=training, held_out="x")
    page = Page(found.to_html())
    assert len(page.links) == 2
    assert set(page.links) == {f"#{page.ids[0]}"}
    said = "".join(page.said)
    assert "line 2, character" in said
    assert found.recommendation in said or "None of these" in said


def test_the_page_is_whole_and_harmless():
    found = made({0.5: ["<script>alert(1)</script>\x1b", "& so"], 1.0: ["b"]}, held_out="<b>")
    page = found.to_html()
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert all(link.startswith("#") for link in Page(page).links)
    assert not re.search(r"url\(|@import|https?://(?!www.w3.org/2000/svg)", page)
    assert Page(page).tags.count("svg") >= 3
    assert found._repr_html_() in page


def test_probabilities_are_under_the_pointer(swept):
    page = swept.to_html()
    first = swept[0].samples[0]
    shares = [f'title="{share:.3g}%"' for share in (np.exp(-first.nats[:3]) * 100).tolist()]
    assert page.index(shares[0]) <= page.index(shares[1])


def test_the_page_is_written_to_a_file(swept, tmp_path):
    path = swept.save_html(tmp_path / "page.html")
    assert path.read_text() == swept.to_html()


def test_a_terminal_sees_table_and_recommendation(swept):
    shown = str(swept)
    assert swept.heading in shown and swept.recommendation in shown
    assert [line.split()[0] for line in shown.splitlines()[2:6]] == ["temperature", "0.1", "0.5", "1"]
    assert "held-out text" in shown


def test_a_data_frame(swept):
    pandas = pytest.importorskip("pandas")
    frame = swept.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["temperature"].tolist() == [0.1, 0.5, 1.0]
    assert frame["novelty_8"][1] == swept[1].analysis.novel[1].share
    assert frame["loops"][0] == len(swept[0].analysis.loops)


def test_what_is_not_installed_is_told(swept, monkeypatch):
    for name in ("pandas", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"needs pandas.*Install"):
        swept.to_dataframe()
    with pytest.raises(UsageError, match=r"lstmega\[plot\]"):
        swept.plot()


def test_a_plot_has_the_charts_of_the_page(swept):
    pytest.importorskip("matplotlib")
    figure = swept.plot()
    assert [axes.get_title() for axes in figure.axes] == [chart.title for chart in swept.charts()]


def test_bytes_are_said_to_be_bytes(tmp_path, text):
    content = text.replace("owl", "\u00f6wl").encode()
    (tmp_path / "owl.bin").write_bytes(content)
    run = lstmega.train(
        tmp_path / "owl.bin", tokens="byte", checkpoints=tmp_path, progress=False, **TINY | {"steps": 4}
    )
    found = lstmega.sweep(run, temperatures=[0.5, 1.0], length=60, num_samples=1, seed=0)
    assert found.table()[0][1] == "bits/byte"
    assert "bits per byte" in found.to_html()
    assert found.held_out is not None


def test_a_sweep_of_nothing_is_refused(tiny_run, text):
    with pytest.raises(UsageError, match="--length must be at least 1"):
        lstmega.sweep(tiny_run, corpus=Corpus.from_text(text, name="owl"), length=0)


def test_options_hold_in_a_sweep(tiny_run, text):
    found = lstmega.sweep(
        tiny_run,
        corpus=Corpus.from_text(text, name="owl"),
        temperatures=[0.5],
        length=80,
        no_copy=6,
        seed=1,
    )
    index = Reference(text[: len(text) - len(tiny_run.held_out)]).index
    assert max(index.matches(item.text).lengths.max() for item in found[0].samples) <= 6
    with pytest.raises(UsageError, match="--vary"):
        lstmega.sweep(tiny_run, corpus=Corpus.from_text(text, name="owl"), vary="char")


# On a real run: some seconds of training on the text that ships with Python, another in each version.


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A sweep as the command makes it, of a run that has learned to spell."""
    run = lstmega.train(
        "pydoc", preset="tiny", steps=300, checkpoints=tmp_path_factory.mktemp("real"), progress=False
    )
    temperatures = [number / 10 for number in range(2, 15)]
    return run, lstmega.sweep(run, temperatures=temperatures, length=1500, num_samples=3, seed=0)


def rank_correlation(first, second):
    """Spearman's; no two values are equal."""
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.mark.slow
def test_with_temperature_known_words_fall_and_novelty_rises(real):
    _, found = real
    written = [level for level in found if level.analysis.known_words.whole]  # lines of signs have none
    known = [level.analysis.known_words.share for level in written]
    assert len(written) > 10
    assert rank_correlation([level.temperature for level in written], known) < -0.8
    temperatures = [level.temperature for level in found]
    for number in (1, 2):  # 8 and 12 characters
        novel = [level.analysis.novel[number].share for level in found]
        assert rank_correlation(temperatures, novel) > 0.8
    bits = [level.bits_per_character for level in found]
    assert rank_correlation(temperatures, bits) > 0.8
    assert "of the words known" in found.recommendation


@pytest.mark.slow
def test_no_copy_holds_over_fifty_thousand_characters(real):
    run, found = real
    texts = lstmega.sample(run, temperatures=[0.3, 0.6], length=1000, num_samples=25, seed=1, no_copy=20)
    index = found.reference.index
    assert sum(len(item.text) for item in texts) == 50_000
    lengths = [int(index.matches(item.prompt + item.text).lengths[80:].max()) for item in texts]
    assert max(lengths) == 20  # as far as it may go, and not further
    free = lstmega.sample(run, temperatures=[0.3], length=2000, num_samples=5, seed=1)
    assert max(int(index.matches(item.text).lengths.max()) for item in free) > 20


def chromium():
    return next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine")
def test_the_page_opens_from_disk_in_chromium(real, tmp_path):
    _, found = real
    path = found.save_html(tmp_path / "sweep.html")
    done = subprocess.run(
        [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    page = Page(done.stdout)
    assert page.tags.count("svg") == 6
    assert page.tags.count("circle") == sum(len(chart.series[0].points) for chart in found.charts())
    assert page.tags.count("section") == 13
    assert found.recommendation in "".join(page.said)
    assert all(link[1:] in page.ids for link in page.links)
    assert "Content-Security-Policy" not in done.stderr  # nothing was refused
