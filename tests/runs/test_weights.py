import io
import tracemalloc

import h5py
import numpy as np
import pytest

from lstmega.config.model import GeneratorConfig
from lstmega.errors import RunError
from lstmega.runs import weights

SIZE = 7


def read(content, options):
    return weights.read(content, options.weight_shapes(SIZE), tied=options.tied, where="x")


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(
    "wiring", [{}, {"tied": True, "layer_norm": True}, {"one_hot": True, "hidden": 3}]
)
def test_reads_what_keras_wrote(cell, layers, wiring, tmp_path):
    from lstmega.nn import generator
    from lstmega.nn.backbone import weights_of

    options = GeneratorConfig(cell=cell, layers=layers, units=5, embedding=4, **wiring)
    network = generator.build(options, SIZE, seed=0)
    network.save_weights(tmp_path / "x.weights.h5")
    found = weights.read(
        (tmp_path / "x.weights.h5").read_bytes(),
        options.weight_shapes(SIZE),
        tied=options.tied,
        where="x",
    )
    expected = weights_of(network)
    assert list(found) == list(options.weight_shapes(SIZE))
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("wiring", [{}, {"tied": True, "layer_norm": True, "residual": True}])
def test_keras_reads_what_is_written(cell, wiring, tmp_path):
    from lstmega.nn import generator
    from lstmega.nn.backbone import weights_of

    options = GeneratorConfig(cell=cell, layers=2, units=5, embedding=4, **wiring)
    arrays = weights_of(generator.build(options, SIZE, seed=0))
    (tmp_path / "x.weights.h5").write_bytes(weights.write(arrays, tied=options.tied))
    network = generator.build(options, SIZE, seed=1)
    network.load_weights(tmp_path / "x.weights.h5")
    for name, array in weights_of(network).items():
        np.testing.assert_array_equal(array, arrays[name])
    again = weights.read(
        weights.write(arrays, tied=options.tied),
        options.weight_shapes(SIZE),
        tied=options.tied,
        where="x",
    )
    assert all((again[name] == array).all() for name, array in arrays.items())


OPTIONS = GeneratorConfig(units=2, embedding=3)
PATHS = {
    "layers/embedding/vars/0": (7, 3),
    "layers/lstm/cell/vars/0": (3, 8),
    "layers/lstm/cell/vars/1": (2, 8),
    "layers/lstm/cell/vars/2": (8,),
    "layers/dense/vars/0": (2, 7),
    "layers/dense/vars/1": (7,),
}


def h5_with(change):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, shape in PATHS.items():
            file[path] = np.zeros(shape, np.float32)
        change(file)
    return buffer.getvalue()


def replace(path, value):
    def change(file):
        del file[path]
        file[path] = value

    return change


def external_storage(file):
    del file["layers/dense/vars/1"]
    file.create_dataset("layers/dense/vars/1", (7,), "f4", external=[("secret", 0, 28)])


def virtual(file):
    del file["layers/dense/vars/1"]
    layout = h5py.VirtualLayout((7,), "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "x", (7,))
    file.create_virtual_dataset("layers/dense/vars/1", layout)


def huge(file):
    del file["layers/dense/vars/1"]
    file.create_dataset("layers/dense/vars/1", (2**40,), "f4", chunks=(1024,), compression="gzip")


def stored(kind="f4", **how):
    def change(file):
        del file["layers/dense/vars/1"]
        file.create_dataset("layers/dense/vars/1", (7,), kind, **how)

    return change


@pytest.mark.parametrize("address", [2**64 - 1, 2**63, 2**63 + 5, 2**64 - 20, 2**62, 10**6])
def test_bytes_beyond_the_file_are_refused(address):
    content = h5_with(lambda file: file["layers/dense/vars/1"].write_direct(np.ones(7, np.float32)))
    with h5py.File(io.BytesIO(content), "r") as file:
        start = file["layers/dense/vars/1"].id.get_offset()
    old, new = (number.to_bytes(8, "little") for number in (start, address))
    assert content.count(old) == 1
    with pytest.raises(RunError, match=r"^x"):
        weights.read(content.replace(old, new), OPTIONS.weight_shapes(SIZE), where="x")


def test_huge_chunks_are_refused_without_allocating():
    """A chunk of a gigabyte that compresses to a megabyte."""
    content = h5_with(stored(chunks=(1 << 28,), compression="gzip", maxshape=(None,)))
    tracemalloc.start()
    try:
        with pytest.raises(RunError, match="one block"):
            weights.read(content, OPTIONS.weight_shapes(SIZE), where="x")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_the_untouched_file_is_fine():
    assert set(weights.read(h5_with(lambda _: None), OPTIONS.weight_shapes(SIZE), where="x")) == set(
        OPTIONS.weight_shapes(SIZE)
    )


@pytest.mark.parametrize(
    "change",
    [
        replace("layers/lstm/cell/vars/0", np.zeros((8, 3), np.float32)),
        replace("layers/lstm/cell/vars/0", np.zeros((3, 8), np.float64)),
        replace("layers/lstm/cell/vars/2", np.full(8, np.nan, np.float32)),
        replace("layers/lstm/cell/vars/2", np.full(8, np.inf, np.float32)),
        replace("layers/dense/vars/0", h5py.ExternalLink("secret.h5", "x")),
        replace("layers/dense", h5py.ExternalLink("secret.h5", "x")),
        replace("layers/dense/vars/0", h5py.SoftLink("/layers/nowhere")),
        replace("layers/dense/vars/0", "text"),
        lambda file: file.pop("layers/embedding/vars/0"),
        lambda file: (file.pop("layers/dense/vars/0"), file.create_group("layers/dense/vars/0")),
        external_storage,
        virtual,
        huge,
        stored(chunks=(7,)),
        stored(compression="gzip"),
        stored(fletcher32=True),
        stored(">f4"),
        stored("f2"),
    ],
)
def test_hostile_files_are_refused(change):
    with pytest.raises(RunError):
        weights.read(h5_with(change), OPTIONS.weight_shapes(SIZE), where="x")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"x" * 3000])
def test_what_is_no_hdf5_is_refused(content):
    with pytest.raises(RunError, match=r"^x is (not a weights file|shorter than)"):
        weights.read(content, OPTIONS.weight_shapes(SIZE), where="x")
