import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.errors import RunError
from lstmega.runs.schema import build, parse


@dataclass
class Inner:
    number: float


@dataclass
class Outer:
    text: str
    count: int
    choice: Literal["a", "b"]
    maybe: Inner | None
    many: tuple[Inner, ...]
    free: Mapping[str, Any]


GOOD = {"text": "t", "count": 1, "choice": "a", "maybe": None, "many": [{"number": 1}], "free": {}}


def test_builds_nested():
    assert build(Outer, GOOD, "x").many == (Inner(1),)


@pytest.mark.parametrize(
    "change",
    [
        {"text": 1},
        {"count": 1.0},
        {"count": True},
        {"choice": "c"},
        {"choice": ["a"]},
        {"maybe": {"number": "1"}},
        {"many": {}},
        {"many": [1]},
        {"many": [{"number": float("inf")}]},
        {"free": []},
        {"other": 1},
    ],
)
def test_refuses(change):
    with pytest.raises(RunError):
        build(Outer, GOOD | change, "x")


def test_missing_field():
    with pytest.raises(RunError, match="text"):
        build(Outer, {k: v for k, v in GOOD.items() if k != "text"}, "x")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(list(GOOD)), json_values)
def test_any_json_builds_or_is_refused(name, value):
    with contextlib.suppress(RunError):
        build(Outer, GOOD | {name: value}, "x")


def test_too_many_values_are_refused_before_they_are_made():
    assert parse(b"[1, 2, 3]", "x", values=3) == [1, 2, 3]
    with pytest.raises(RunError, match="x has too many values"):
        parse(b"[1, 2, 3, 4]", "x", values=3)


@pytest.mark.parametrize("content", [b"", b"{", b"NaN", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_refused(content):
    with pytest.raises(RunError):
        parse(content, "x")
