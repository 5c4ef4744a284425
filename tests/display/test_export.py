import sys

import pytest

import lstmega
from lstmega.display import export as exports
from lstmega.errors import UsageError


def test_a_page_is_written_whole(tmp_path):
    path = exports.save(tmp_path / "page.html", "<p>\ud800é</p>")
    assert path.read_bytes() == "<p>\ud800é</p>".encode("utf-8", "surrogatepass")


def test_pages_replace_pages_and_nothing_else(tiny_run, tmp_path):
    found, path = lstmega.evaluate(tiny_run), tmp_path / "page.html"
    for result in (found, found, lstmega.inspect(tiny_run)):
        assert result.save_html(path).read_text() == result.to_html()
    path.write_text("<!doctype html>\n<p>mine</p>")
    with pytest.raises(UsageError, match="--html replaces only"):
        found.save_html(path)
    assert "mine" in path.read_text()
    assert found.save_html(path, force=True).read_text() == found.to_html()


def test_what_is_not_there_is_named_with_the_way_to_get_it(monkeypatch):
    for name in ("pandas", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"to_dataframe needs pandas.*pip install pandas"):
        exports.dataframe([])
    with pytest.raises(UsageError, match=r"plot needs matplotlib.*lstmega\[plot\]"):
        exports.figure(1, 1)


def test_results_become_data_frames(tiny_run):
    pytest.importorskip("pandas")
    evaluation = lstmega.evaluate(tiny_run)
    frame = evaluation.to_dataframe()
    assert frame["nats"].mean() == pytest.approx(evaluation.nats_per_character)
    assert "".join(frame["character"]) == tiny_run.held_out[1:]
    assert list(tiny_run.to_dataframe()["step"]) == [row.step for row in tiny_run.history()]
    texts = lstmega.sample(tiny_run, length=5, seed=0)
    assert list(texts.to_dataframe()["text"]) == [item.text for item in texts]
    rows = lstmega.compare([tiny_run])
    assert rows.to_dataframe().to_dict("records") == rows.to_dicts()


def test_a_run_draws_its_curve(tiny_run):
    pytest.importorskip("matplotlib")
    figure = tiny_run.plot()
    assert figure.axes[0].get_title() == "Losses of owl"
    assert figure._repr_png_().startswith(b"\x89PNG")  # what a notebook shows


def test_a_run_with_a_damaged_history_still_shows_itself(tiny_run):
    (tiny_run.path / "history.csv").write_text("<b>")
    shown = tiny_run._repr_html_()
    assert "owl" in shown
    assert "history.csv" in shown
