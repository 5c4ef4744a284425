import dataclasses
import shutil

import pytest

import lstmega
from lstmega.data.corpus import Corpus, read
from lstmega.errors import UsageError
from lstmega.runs import provenance as origins
from tests.conftest import TINY, reseal


@pytest.fixture
def trained(tmp_path, text):
    def train(name, content, **more):
        (tmp_path / "texts").mkdir(exist_ok=True)
        path = tmp_path / "texts" / name
        path.write_bytes(content)
        return lstmega.train(path, checkpoints=tmp_path / "runs", progress=False, **TINY | more)

    return train


def part(run, text):
    return text[: len(text) - run.record.held_out_characters]


def test_the_text_is_found_where_it_was(trained, text):
    run = trained("owl.txt", text.encode())
    assert origins.training_text(run) == part(run, text)
    assert not any(place.startswith("/") for place in run.record.text.places)


def test_both_may_move_together(trained, text, tmp_path):
    run = trained("owl.txt", text.encode())
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(tmp_path / "texts", moved)
    shutil.move(tmp_path / "runs", moved)
    assert origins.training_text(lstmega.load(moved / "runs" / "owl")) == part(run, text)


@pytest.mark.parametrize("depth", ["", "deep/er"])
def test_the_run_may_move_alone(trained, text, tmp_path, depth):
    run = trained("owl.txt", text.encode())
    (tmp_path / "moved" / depth).mkdir(parents=True)
    run = lstmega.load(shutil.move(run.path, tmp_path / "moved" / depth))
    assert origins.training_text(run) == part(run, text)


def test_another_text_at_the_first_place_does_not_hide_the_second(trained, text, tmp_path):
    run = trained("owl.txt", text.encode())
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copytree(tmp_path / "texts", moved / "texts")
    shutil.move(tmp_path / "runs", moved)
    (tmp_path / "texts" / "owl.txt").write_text(text + "!")
    assert origins.training_text(lstmega.load(moved / "runs" / "owl")) == part(run, text)


def test_both_places_are_named(trained, text, tmp_path):
    run = trained("owl.txt", text.encode())
    shutil.move(tmp_path / "runs", tmp_path / "a")
    (tmp_path / "texts" / "owl.txt").unlink()
    run = lstmega.load(shutil.move(tmp_path / "a" / "owl", tmp_path))
    with pytest.raises(UsageError) as caught:
        origins.training_text(run)
    assert str(caught.value) == (
        "The text that owl was trained on is needed. Received: nothing at "
        f"{tmp_path}/texts/owl.txt nor at {tmp_path.parent}/texts/owl.txt. "
        "Accepted: --corpus, with the same files in the same order."
    )


def test_runs_from_before_have_one_place(trained, text):
    run = trained("owl.txt", text.encode())
    reseal(run, text={k: v for k, v in dataclasses.asdict(run.record.text).items() if k != "origins"})
    assert origins.training_text(lstmega.load(run.path)) == part(run, text)


@pytest.mark.parametrize("place", ["../\0", "/\udc80/" + "x" * 300, "/" + "x/" * 4000])
def test_impossible_places_are_no_places(trained, text, place):
    run = trained("owl.txt", text.encode())
    odd = {"places": [place], "origins": [f"/{place}"]}
    reseal(run, text=dataclasses.asdict(run.record.text) | odd)
    with pytest.raises(UsageError, match="is needed"):
        origins.training_text(lstmega.load(run.path))


def test_a_text_that_has_gone_is_asked_for(trained, text, tmp_path):
    run = trained("owl.txt", text.encode())
    new = (tmp_path / "texts" / "owl.txt").rename(tmp_path / "moved.txt")
    with pytest.raises(UsageError, match=r"The text that owl was trained on is needed.*--corpus"):
        origins.training_text(run)
    assert origins.training_text(run, [new]) == part(run, text)
    assert origins.training_text(run, read([new])) == part(run, text)


def test_another_text_is_refused(trained, text, tmp_path):
    run = trained("owl.txt", text.encode())
    (tmp_path / "texts" / "owl.txt").write_text(text + "!")
    with pytest.raises(UsageError, match=r"owl is not the text.*Received: sha256.*Accepted"):
        origins.training_text(run)


def test_encodings_and_line_ends_are_those_of_the_training(trained, text):
    content = (text.replace("owl", "\u00f6wl")).replace("\n", "\r\n")
    run = trained("owl.txt", content.encode("cp1252"), encoding="cp1252")
    assert origins.training_text(run) == part(run, content.replace("\r\n", "\n"))
    run = trained("raw.bin", content.encode("cp1252"), tokens="byte", run="raw")
    assert origins.training_text(run) == part(run, content.encode("cp1252").decode("latin-1"))


def test_a_text_without_a_place_must_be_given(tiny_run, text):
    with pytest.raises(UsageError, match="The text that owl was trained on is needed"):
        origins.training_text(tiny_run)
    assert origins.training_text(tiny_run, Corpus.from_text(text, name="x")) == part(tiny_run, text)


def test_named_corpora_are_found_by_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = lstmega.train("pydoc", checkpoints=tmp_path / "runs", progress=False, **TINY | {"steps": 2})
    assert run.record.text.places == ("pydoc",)
    assert len(origins.training_text(run)) == run.record.text.characters - run.record.held_out_characters


def test_a_named_corpus_that_cannot_be_had_is_asked_for(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr("lstmega.data.download.NAMED", {})
    reseal(tiny_run, text=dataclasses.asdict(tiny_run.record.text) | {"places": ["nietzsche"]})
    with pytest.raises(UsageError, match="--corpus, with the same files"):
        origins.training_text(lstmega.load(tiny_run.path), corpora=tmp_path)
