import io
import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.runs import hdf5


def file_of(arrays, **how):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **how) as file:
        for path, array in arrays.items():
            file[path] = array
    return buffer.getvalue()


@given(
    members=st.integers(1, 60),
    depth=st.integers(0, 3),
    shape=st.lists(st.integers(1, 5), max_size=3),
    seed=st.integers(0, 99),
)
def test_reads_what_the_library_reads(members, depth, shape, seed):
    generator = np.random.default_rng(seed)
    paths = [f"{'inner/' * depth}array_{number}" for number in generator.permutation(members)]
    arrays = {path: generator.normal(size=shape).astype(np.float32) for path in paths}
    content = file_of(arrays)
    for path, array in arrays.items():
        np.testing.assert_array_equal(hdf5.read(content, path), array)
    for missing in ("array", "inner/array_0x", f"{paths[0]}/x", paths[0].rpartition("/")[0] or "x"):
        with pytest.raises(ValueError, match=r"is not in it|no array of"):
            hdf5.read(content, missing)


def test_a_group_of_thousands():
    arrays = {f"layers/array_{number}": np.float32([number]) for number in range(3000)}
    content = file_of(arrays)
    assert hdf5.read(content, "layers/array_2999") == 2999


@pytest.mark.parametrize("bound", ["v108", "v110", "latest"])
def test_later_versions_of_the_format_are_refused(bound):
    content = file_of({"layers/x": np.ones(3, np.float32)}, libver=(bound, "latest"))
    with pytest.raises(ValueError, match="earliest version"):
        hdf5.read(content, "layers/x")


SMALL = file_of({"layers/x": np.ones((2, 3), np.float32), "layers/y": np.ones(3, np.float32)})


@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, len(SMALL) - 8), st.integers(0, 2**64 - 1), st.sampled_from([1, 2, 4, 8])
        ),
        min_size=1,
        max_size=4,
    ),
    end=st.integers(0, len(SMALL)) | st.just(len(SMALL)),
)
def test_damaged_files_are_read_within_bounds_or_refused(changes, end):
    content = bytearray(SMALL)
    for place, value, size in changes:
        content[place : place + size] = value.to_bytes(8, "little")[:size]
    tracemalloc.start()
    try:
        assert hdf5.read(bytes(content[:end]), "layers/x").size <= len(SMALL)
    except ValueError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4_000_000


def test_groups_that_contain_themselves_end():
    content = bytearray(SMALL)
    tree = SMALL.rindex(b"TREE")
    content[tree + 6 : tree + 8] = (60_000).to_bytes(2, "little")
    with pytest.raises(ValueError):
        hdf5.read(bytes(content), "layers/absent")
    content = bytearray(SMALL)
    content[tree + 32 : tree + 40] = tree.to_bytes(8, "little")  # its own child
    with pytest.raises(ValueError, match="too many"):
        hdf5.read(bytes(content), "layers/absent")
