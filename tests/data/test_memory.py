"""Memory that is free, from files like the kernel's, and refusals with both numbers."""

import pytest

from lstmega.data import memory
from lstmega.errors import CorpusError


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that writes files below /proc and the directory of cgroups."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")

    def write(**contents):
        for name, content in contents.items():
            path = tmp_path / name.replace("___", ".").replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return write


def test_nothing_is_refused_where_it_is_unknown(machine):
    assert memory.available() is None
    memory.check(10**18, "A text")


def test_the_machine(machine):
    machine(proc__meminfo="MemTotal: 900 kB\nMemAvailable:   500 kB\n")
    assert memory.available() == 512_000
    memory.check(512_000, "A text")
    with pytest.raises(CorpusError, match=r"A text .* 700 MB of memory. Received: 1 MB .* Accepted: "):
        memory.check(700_000_000, "A text")


def test_a_limit_of_a_group_above(machine):
    machine(
        proc__meminfo="MemAvailable: 500 kB\n", proc__self__cgroup="0::/a/b\n",
        cgroup__a__b__memory___max="max\n", cgroup__a__b__memory___current="5\n",
        cgroup__a__memory___max="3000\n", cgroup__a__memory___current="2500\n",
        cgroup__a__memory___stat="anon 1\ninactive_file 200\ninactive_file_x 7\n",
    )  # fmt: skip
    assert memory.available() == 700


def test_a_limit_of_the_older_groups(machine):
    machine(
        proc__self__cgroup="3:cpu,memory_x:/o\n2:memory:/outside/the/container\n",
        cgroup__memory__memory___limit_in_bytes="3000", cgroup__memory__memory___usage_in_bytes="2500",
    )  # fmt: skip
    assert memory.available() == 500


def test_this_machine():
    free = memory.available()
    assert free is None or free > 0
