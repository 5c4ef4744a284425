from xml.etree import ElementTree

import numpy as np
import pytest
from rich.cells import cell_len

from lstmega.evaluation.confusion_matrix import Confusion

TRUE = np.array([0, 0, 0, 0, 1, 1, 2])
TAKEN = np.array([0, 0, 0, 1, 1, 0, 0])


@pytest.fixture
def confusion():
    return Confusion.of(["a", "b", "c<"], TRUE, TAKEN)


def test_counts_have_true_classes_down(confusion):
    assert confusion.counts.tolist() == [[3, 1, 0], [1, 1, 0], [1, 0, 0]]


def test_scores_by_hand(confusion):
    assert confusion.accuracy == pytest.approx(4 / 7)
    assert confusion.majority == pytest.approx(4 / 7)
    a, b, c = confusion.scores()
    assert (a.precision, a.recall, a.f1) == pytest.approx((3 / 5, 3 / 4, 2 / 3))
    assert (b.precision, b.recall, b.f1) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert (c.precision, c.recall, c.f1, c.examples) == (0, 0, 0, 1)
    assert confusion.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 3)


def test_a_class_without_examples_does_not_count():
    found = Confusion.of(["a", "b", "c"], np.array([0, 1]), np.array([0, 1]))
    assert found.macro_f1 == found.accuracy == 1


def test_macro_f1_equals_the_textbook_on_random_tables():
    random = np.random.default_rng(0)
    true, taken = random.integers(5, size=(2, 300))
    scores = []
    for one in range(5):
        right = ((true == one) & (taken == one)).sum()
        precision, recall = right / (taken == one).sum(), right / (true == one).sum()
        scores.append(2 * precision * recall / (precision + recall))
    assert Confusion.of("abcde", true, taken).macro_f1 == pytest.approx(np.mean(scores))


def test_few_classes_show_numbers(confusion):
    assert confusion.grid().splitlines()[1].split() == ["a", "3", "1", "."]


def test_many_classes_show_shades():
    names = [f"class {number}" for number in range(12)]
    places = np.arange(12)
    lines = Confusion.of(names, places, places).grid().splitlines()
    assert sum(line.count("█") for line in lines[:-1]) == 12
    assert "█ from 75.0%" in lines[-1]


def test_shades_stand_below_names_of_wide_characters():
    names = ["中文", "日本語", *(f"class {number}" for number in range(10))]
    *lines, _ = Confusion.of(names, np.arange(12), np.arange(12)).grid().splitlines()
    places = [cell_len(line[: line.index("█")]) for line in lines if "█" in line]
    assert places == [9, 12, *range(15, 35, 2)]  # the first two columns are two cells wide
    assert [cell_len(lines[0][: lines[0].index(letter)]) for letter in "中日c"] == [9, 12, 15]


def test_the_picture_is_well_formed_and_says_what_it_shows(confusion):
    picture = ElementTree.fromstring(confusion.svg(title="a <b>"))
    titles = [element.text for element in picture.iter() if element.tag.endswith("title")]
    assert titles[0] == "a <b>"
    assert "a taken for b: 1 (25.0%)" in titles
    assert len([element for element in picture.iter() if element.tag.endswith("rect")]) == 1 + 9
