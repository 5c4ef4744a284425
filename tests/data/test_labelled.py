import contextlib
import csv
import gzip
import io
import math
import os
import resource
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmega.data import arrays as vectors
from lstmega.data import labelled, memory
from lstmega.data.labelled import Labelled, read
from lstmega.errors import CorpusError


@pytest.fixture
def place(tmp_path):
    def put(**files):
        for name, content in files.items():
            path = tmp_path / name.replace("__", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return put


def npz(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def idx(array):
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


IMAGES = np.arange(2 * 3 * 4).reshape(2, 3, 4)


class TestDirectories:
    def test_a_file_is_a_class_and_a_line_an_example(self, place):
        data = read(place(Greek__txt="Aris\r\n\n Zoë \n", Irish__txt="Flann"))
        assert data.sequences == ["Aris", "Zoë", "Flann"]
        assert data.labels == ("Greek", "Greek", "Irish")
        assert data.classes == ("Greek", "Irish")
        assert [Path(source.path).name for source in data.sources] == ["Greek.txt", "Irish.txt"]

    def test_only_line_ends_end_lines(self, place):
        data = read(place(a__txt="p\u2028q\x85r\x0cs\rt\r\nu", b__txt="v"))
        assert data.sequences == ["p\u2028q\x85r\x0cs", "t", "u", "v"]

    def test_other_and_hidden_files_are_passed_over(self, place):
        where = place(b__txt="b", a__txt="a", c__md="c", __hidden__txt="no")
        (where / ".txt").write_text("no")
        assert read(where).classes == ("a", "b")

    def test_one_that_cannot_be_listed_is_said(self, tmp_path, monkeypatch):
        def refuse(path):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "iterdir", refuse)  # root may list everything
        with pytest.raises(CorpusError, match="Permission denied"):
            read(tmp_path)

    def test_only_mnist_s_own_names_are_its_training_pair(self, place):
        where = place(a__txt="a", b__txt="b", **{"train-images-idx3-ubyte.gz.part": b"half"})
        assert read(where).classes == ("a", "b")

    def test_an_encoding_may_be_declared(self, place):
        data = read(place(a__txt="é".encode("latin-1"), b__txt=b"b"), encoding="latin-1")
        assert data.sequences == ["é", "b"]


class TestTables:
    def test_the_first_column_is_the_label_and_the_rest_the_text(self, place):
        where = place(t__csv='"2","a, ""b""","c\nd"\n1,x,\\y\n')
        data = read(where / "t.csv")
        assert data.sequences == ['a, "b" c\nd', "x \\y"]
        assert data.labels == ("2", "1")
        assert data.classes == ("1", "2")

    def test_tabs(self, place):
        assert read(place(t__tsv="a\tx, y\nb\tz\n") / "t.tsv").sequences == ["x, y", "z"]

    def test_columns_by_name_and_number(self, place):
        path = place(t__csv="id,body,kind,title\n1,b1,k1,t1\n2,b2,k2,t2\n") / "t.csv"
        named = read(path, label="kind", text=("title", "body"))
        assert named.labels == ("k1", "k2")
        assert named.sequences == ["t1 b1", "t2 b2"]
        numbered = read(path, label="3", text="4", header=True)
        assert numbered.sequences == ["t1", "t2"]
        assert numbered.labels == named.labels

    def test_class_names_count_from_one_or_from_nought(self, place):
        where = place(one__csv="1,x\n2,y\n", nought__csv="0,x\n1,y\n", names__txt="World\nSports\n")
        for name in ("one", "nought"):
            data = read(where / f"{name}.csv", class_names=where / "names.txt")
            assert data.labels == ("World", "Sports")

    @settings(max_examples=50)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b"]),
                st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9).map(
                    lambda text: f"x{text}x"
                ),
            ),
            min_size=2,
            max_size=9,
        )
    )
    def test_what_csv_writes_is_read(self, tmp_path_factory, rows):
        path = tmp_path_factory.mktemp("csv") / "t.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("a", "first"), ("b", "second"), *rows])
        data = read(path)
        assert list(zip(data.labels, data.sequences, strict=True))[2:] == rows

    def test_a_field_may_be_long(self, place):
        text = "y" * 1_000_000
        assert read(place(t__csv=f"a,{text}\nb,x\n") / "t.csv").sequences[0] == text

    def test_the_process_keeps_its_own_limit(self, place):
        before = csv.field_size_limit()
        with pytest.raises(CorpusError):
            read(place(t__csv="a,\n") / "t.csv")
        assert csv.field_size_limit() == before


class TestVectors:
    def test_arrays(self, place):
        x = np.arange(12.0).reshape(2, 3, 2)
        data = read(place(t__npz=npz(x=x, y=np.array([5, 10]))) / "t.npz")
        assert data.kind == "vectors"
        np.testing.assert_array_equal(data.sequences, x.astype(np.float32))
        assert data.classes == ("5", "10")  # by value

    def test_pixels_and_flat_sequences(self, place):
        x = np.array([[0, 255], [51, 0]], np.uint8)
        data = read(place(t__npz=npz(x=x, y=np.array(["a", "b"]))) / "t.npz")
        assert data.sequences[1].tolist() == [[pytest.approx(0.2)], [0.0]]

    @pytest.mark.parametrize("packed", [False, True])
    def test_idx_files_with_the_labels_beside_them(self, place, packed):
        pack, end = (gzip.compress, "__gz") if packed else (bytes, "")
        files = {
            f"train-images-idx3-ubyte{end}": pack(idx(IMAGES)),
            f"train-labels-idx1-ubyte{end}": pack(idx(np.array([7, 3]))),
        }
        where = place(**files)
        data = read(where)
        np.testing.assert_allclose(data.sequences, IMAGES / 255, atol=1e-7)
        assert data.labels == ("7", "3")
        assert read(where / f"train-images-idx3-ubyte{end.replace('__', '.')}").sha256 == data.sha256

    def test_labels_may_lie_elsewhere(self, place):
        where = place(**{"images": idx(IMAGES), "classes.gz": gzip.compress(idx(np.array([7, 3])))})
        data = read(where / "images", labels=where / "classes.gz")
        assert data.labels == ("7", "3")
        assert [Path(source.path).name for source in data.sources] == ["images", "classes.gz"]
        with pytest.raises(CorpusError, match=r"one file of images.* 2 paths"):
            read([where / "images"] * 2, labels=where / "classes.gz")

    def test_sequences_are_views_of_one_array(self, place):
        data = read(place(t__npz=npz(x=np.zeros((3, 2, 2)), y=np.arange(3))) / "t.npz")
        assert data.sequences[0].dtype == np.float32
        assert len({id(one.base) for one in data.sequences}) == 1

    def test_further_arrays_are_passed_over(self, place):
        x = np.zeros((2, 3))
        assert read(place(t__npz=npz(x=x, y=np.arange(2), z=x)) / "t.npz").classes == ("0", "1")

    def test_vectors_to_ask_about_need_no_labels(self, place):
        where = place(t__npz=npz(x=np.zeros((2, 3, 4))), t__csv="a,b\n")
        assert [one.shape for one in labelled.vectors_of(where / "t.npz")] == [(3, 4)] * 2
        with pytest.raises(CorpusError, match="reads arrays"):
            labelled.vectors_of(where / "t.csv")


def test_several_paths_are_joined(place):
    where = place(a__csv="x,1\n", b__csv="y,2\n")
    data = read([where / "a.csv", where / "b.csv"])
    assert data.labels == ("x", "y")
    assert data.name == "a"


def test_the_hash_is_of_the_examples_alone(place):
    where = place(a__csv="x,1\ny,2\n", b__tsv="x\t1\ny\t2\n", c__csv="x,1\ny,3\n")
    first, same, other = (read(where / name).sha256 for name in ("a.csv", "b.tsv", "c.csv"))
    assert first == same != other
    assert (
        Labelled("n", "text", ["ab", "c"], ("x", "y")).sha256
        != Labelled("n", "text", ["a", "bc"], ("x", "y")).sha256
    )


def test_the_hash_is_of_shapes_too():
    one, other = ([np.zeros(shape, np.float32)] * 2 for shape in ((6, 1), (3, 2)))
    labels = ("a", "b")
    assert Labelled("n", "vectors", one, labels).sha256 != Labelled("n", "vectors", other, labels).sha256


def npy(shape, content=b""):
    """The bytes of an array whose header says what it likes."""
    head = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + content


def zipped(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, member in members.items():
            file.writestr(name.replace("__", "."), member)
    return content.getvalue()


NO_CHARACTERS = np.array([0x110000, 97], np.uint32).view("<U1")
NAN = np.zeros((3, 2, 2))
NAN[1, 0, 1] = np.nan
BAD = {
    "empty class": ({"a__txt": "x", "b__txt": " \n"}, ".", {}, "b.txt holds no example"),
    "one class": ({"a__txt": "x"}, ".", {}, "two classes"),
    "no files": ({"a__md": "x"}, ".", {}, r"No \*.txt file"),
    "one class only": ({"t__csv": "a,x\na,y\n"}, "t.csv", {}, "two classes.*t.csv"),
    "a directory as a class": ({"a__txt": "x"}, "..", {"labels": "a.txt"}, "not a regular file"),
    "NUL": ({"t__csv": "a,x\nb,\0\n"}, "t.csv", {}, "t.csv.*binary"),
    "too long a name": ({}, "x" * 300, {}, "File name too long"),
    "missing": ({}, "none.csv", {}, "No such file.*none.csv"),
    "odd suffix": ({"a__md": "x"}, "a.md", {}, "Not labelled data.*a.md"),
    "empty table": ({"t__csv": ""}, "t.csv", {}, "t.csv is empty"),
    "header only": ({"t__csv": "a,b\n"}, "t.csv", {"header": True}, "holds no example"),
    "label without text": ({"t__csv": "a,x\nb,\n"}, "t.csv", {}, "t.csv, line 2: no text"),
    "text without label": ({"t__csv": "a,x\n,y\n"}, "t.csv", {}, "t.csv, line 2: no label"),
    "one column": ({"t__csv": "a\nb\n"}, "t.csv", {}, "needs a column of texts"),
    "short row": ({"t__csv": 'a,"x\ny"\nb\n'}, "t.csv", {}, "t.csv, line 3: 1 fields.*has 2"),
    "open quote": ({"t__csv": 'a,x\nb,"y\n'}, "t.csv", {}, "t.csv, line 2: unexpected end"),
    "text behind a quote": ({"t__csv": 'a,x\nb,"y"z\n'}, "t.csv", {}, "t.csv, line 2: .* expected"),
    "long row": ({"t__csv": f"a,x\nb,{'y' * 1_000_001}\n"}, "t.csv", {}, "t.csv, line 2: field"),
    "long line": ({"a__txt": "x\n" + "y" * 1_000_001}, ".", {}, "a.txt, line 2: 1,000,001 char"),
    "no such column": ({"t__csv": "a,x\n"}, "t.csv", {"label": "kind"}, "no column 'kind'"),
    "column of many digits": ({"t__csv": "a,x\n"}, "t.csv", {"label": "9" * 5000}, "no column '999"),
    "column of no name": ({"t__csv": "a,x\n"}, "t.csv", {"label": ""}, "no column ''"),
    "two such columns": ({"t__csv": "k,k,x\n"}, "t.csv", {"label": "k"}, "t.csv has more than one"),
    "no such text": ({"t__csv": "k,x\na,b\n"}, "t.csv", {"text": ["y"]}, "t.csv has no column 'y'"),
    "column 0": ({"t__csv": "a,x\n"}, "t.csv", {"label": "0"}, "no column '0'"),
    "too few names": (
        {"t__csv": "1,x\n3,y\n", "n__txt": "A\nB\n"}, "t.csv", {"class_names": "n.txt"},
        "t.csv, line 2: .*label .3.*2 names.*from 1 to 2",
    ),
    "equal names": (
        {"t__csv": "1,x\n2,y\n", "n__txt": "A\nA\n"}, "t.csv", {"class_names": "n.txt"},
        "n.txt, line 2: .*of its own",
    ),
    "no names": (
        {"t__csv": "1,x\n2,y\n", "n__txt": "\n"}, "t.csv", {"class_names": "n.txt"}, "n.txt, line 1",
    ),
    "a gap in the names": (
        {"t__csv": "1,x\n2,y\n", "n__txt": "A\n\nB"}, "t.csv", {"class_names": "n.txt"}, "n.txt, line 2",
    ),
    "a label that is no number": (
        {"t__csv": "1,x\nB,y\n", "n__txt": "A\nB\n"}, "t.csv", {"class_names": "n.txt"},
        "t.csv, line 2: .*label 'B'",
    ),
    "not UTF-8": ({"a__txt": b"x\n\xff", "b__txt": "y"}, ".", {}, "a.txt.*byte offset 2, line 2"),
    "unknown encoding": ({"a__txt": "x", "b__txt": "y"}, ".", {"encoding": "utf-9"}, "utf-9"),
    "no archive": ({"t__npz": b"PK\3\4xx"}, "t.npz", {}, r"t.npz is no readable .npz"),
    "no y": ({"t__npz": npz(x=NAN)}, "t.npz", {}, r"\['x', 'y'\].*Received: \['x'\]"),
    "objects": ({"t__npz": npz(x=np.array([{}]), y=np.array([1]))}, "t.npz", {}, "without objects"),
    "NaN": (
        {"t__npz": npz(x=NAN, y=np.arange(3))}, "t.npz", {}, "t.npz, example 1, time 0, feature 1 .*nan",
    ),
    "too large for float32": (
        {"t__npz": npz(x=np.array([[0], [1e300]]), y=np.arange(2))}, "t.npz", {}, "example 1, .*inf",
    ),
    "one array": ({"t__npz": npy((2, 3))}, "t.npz", {}, r"t.npz is no readable .npz.*NUMPY"),
    "no arrays in it": ({"t__npz": zipped(x="x", y="y")}, "t.npz", {}, "t.npz is no readable"),
    "an array for no memory": (
        {"t__npz": zipped(x__npy=npy((10**13, 3)), y__npy=npy((2,)))}, "t.npz", {},
        "t.npz is no readable .*not 120,000,000,000,000",
    ),
    "an array cut short": (
        {"t__npz": zipped(x__npy=npy((2, 3)), y__npy=npy((2,)))}, "t.npz", {}, "t.npz is no readable",
    ),
    "numbers as texts": ({"t__npz": npz(x=NAN[2:], y=np.zeros(1))}, "t.npz", {}, "y must be.*float64"),
    "no label in y": (
        {"t__npz": npz(x=np.zeros((2, 1)), y=np.array(["a", " "]))}, "t.npz", {}, "t.npz, example 1: no",
    ),
    "half a character in y": (
        {"t__npz": npz(x=np.zeros((2, 1)), y=np.array(["\ud800", "a"]))}, "t.npz", {},
        r"t.npz, example 0: .*\\ud800",
    ),
    "no characters in y": (
        {"t__npz": npz(x=np.zeros((2, 1)), y=NO_CHARACTERS)}, "t.npz", {}, "t.npz: y holds no text",
    ),
    "half a character as label": (
        {"t__csv": b"a,x\nb+2AA-,y\n"}, "t.csv", {"encoding": "utf-7"}, "t.csv, line 2: no label",
    ),
    "names for arrays": (
        {"t__npz": npz(x=np.zeros((2, 1)), y=np.array([1, 3])), "n__txt": "A\nB\n"}, "t.npz",
        {"class_names": "n.txt"}, "t.npz, example 1: .*label '3'",
    ),
    "shapes": ({"t__npz": npz(x=np.zeros((3, 2)), y=np.arange(4))}, "t.npz", {}, "each of the 3"),
    "no steps": ({"t__npz": npz(x=np.zeros((3, 0, 2)), y=np.arange(3))}, "t.npz", {}, r"\[3, 0, 2\]"),
    "texts in x": ({"t__npz": npz(x=np.array(["a"]), y=np.arange(1))}, "t.npz", {}, "must be numbers"),
    "no labels file": ({"a-images-idx3-ubyte": idx(IMAGES)}, "a-images-idx3-ubyte", {}, "labels-idx1"),
    "cut short": (
        {"a-images-idx3-ubyte": idx(IMAGES)[:-1], "a-labels-idx1-ubyte": idx(np.arange(2))},
        "a-images-idx3-ubyte", {}, r"24 bytes.*Received: 23",
    ),
    "too few labels": (
        {"a-images-idx3-ubyte": idx(IMAGES), "a-labels-idx1-ubyte": idx(np.arange(1))},
        "a-images-idx3-ubyte", {}, "a-labels-idx1-ubyte must .* 2 images .*Received: 1",
    ),
    "labels that are missing": ({"a": idx(IMAGES)}, "a", {"labels": "b"}, "No such file.*b'"),
    "labels as images": (
        {"a-images-idx3-ubyte": idx(np.arange(2)), "a-labels-idx1-ubyte": idx(np.arange(2))},
        "a-images-idx3-ubyte", {}, "3 dimensions",
    ),
    "no idx": (
        {"a-images-idx3-ubyte": b"hello, world, long enough"}, "a-images-idx3-ubyte", {}, "b'hell'",
    ),
    "bad gzip": ({"a-images-idx3-ubyte": b"\x1f\x8bxx"}, "a-images-idx3-ubyte", {}, "damaged gzip"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "data", "how", "message"), BAD.values(), ids=BAD)
def test_bad_data_is_named_with_file_and_row(place, files, data, how, message):
    where = place(**files)
    paths = {"class_names", "labels"}
    how = {name: where / value if name in paths else value for name, value in how.items()}
    with pytest.raises(CorpusError, match=f"(?s){message}"):
        read(where / data, **how)


def test_messages_are_safe_on_a_terminal(place):
    where = place(**{"\x1b[31m.csv": "a,x\nb\n"})
    with pytest.raises(CorpusError, match="line 2") as caught:
        read(where / "\x1b[31m.csv")
    assert "\x1b" not in str(caught.value)


def test_texts_and_vectors_do_not_mix(place):
    where = place(a__csv="x,1\ny,2\n", b__npz=npz(x=np.zeros((2, 3)), y=np.arange(2)))
    with pytest.raises(CorpusError, match="do not mix"):
        read([where / "a.csv", where / "b.npz"])
    place(c__npz=npz(x=np.zeros((2, 3, 5)), y=np.arange(2)))
    with pytest.raises(CorpusError, match="one width"):
        read([where / "b.npz", where / "c.npz"])


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(CorpusError, match="not a regular file"):
        read(tmp_path / "a.csv")


def test_damaged_idx_files_never_crash():
    good = idx(IMAGES)
    for place_ in range(16):
        for value in (0, 1, 255):
            raw = good[:place_] + bytes([value]) + good[place_ + 1 :]
            with contextlib.suppress(CorpusError):
                assert vectors.idx(raw, Path("x"), dimensions=3).size == 24


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_damaged_archives_never_crash(value):
    good = npz(x=np.arange(6.0).reshape(2, 3), y=np.arange(2))
    for at in range(len(good)):
        for raw in (good[:at] + bytes([value]) + good[at + 1 :], good[:at]):
            with contextlib.suppress(CorpusError):
                list(vectors.archive(raw, Path("x")))


def test_damaged_gzip_files_never_crash():
    good = gzip.compress(idx(IMAGES), mtime=0)
    for at in range(len(good)):
        for raw in (good[:at] + bytes([good[at] ^ 255]) + good[at + 1 :], good[:at]):
            with contextlib.suppress(CorpusError):
                vectors.idx(raw, Path("x"), dimensions=3)


def bomb(shape, kind="<f4", method=zipfile.ZIP_DEFLATED):
    """An .npz file whose array x is as large as it says, of zeros."""
    content, size = io.BytesIO(), math.prod(shape) * np.dtype(kind).itemsize
    with zipfile.ZipFile(content, "w", method) as file:
        with file.open("x.npy", "w") as member:
            head = npy(shape).replace(b"<f4", kind.encode())
            member.write(head)
            for start in range(0, size, 1 << 24):
                member.write(bytes(min(1 << 24, size - start)))
        file.writestr("y.npy", npy((shape[0],), bytes(4 * shape[0])).replace(b"<f4", b"<i4"))
    return content.getvalue()


@pytest.fixture
def little_memory():
    """Limit what this process may allocate to a gibibyte more than it has."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the size of a process is read from /proc")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


class TestBombs:
    """Small files that unpack to much: refused by their headers, or read no further than these say."""

    @pytest.mark.usefixtures("little_memory")
    def test_an_array_of_zeros(self, place):
        with pytest.raises(
            CorpusError, match=r"too large.*Received: 314,572,800 bytes, packed.*Accepted"
        ):
            read(place(t__npz=bomb((1 << 20, 300), "|u1")) / "t.npz")

    @pytest.mark.usefixtures("little_memory")
    @pytest.mark.parametrize("shape", [(1, 1, 1), (60_000, 28, 28)])
    def test_images_that_never_end(self, place, shape, monkeypatch):
        raw = struct.pack(">4B3I", 0, 0, 8, 3, *shape) + bytes(1 << 26)
        path = place(
            **{"a-images-idx3-ubyte": gzip.compress(raw, 1) + gzip.compress(bytes(1 << 26)) * 40}
        )
        most = []
        inner = gzip.GzipFile.read
        monkeypatch.setattr(gzip.GzipFile, "read", lambda s, n=-1: most.append(n) or inner(s, n))
        with pytest.raises(CorpusError, match="and more"):
            vectors.idx((path / "a-images-idx3-ubyte").read_bytes(), Path("a"), dimensions=3)
        assert sum(most) == 16 + math.prod(shape) + 1

    def test_images_larger_than_their_file(self):
        raw = struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
        for content in (raw, gzip.compress(raw)):
            with pytest.raises(CorpusError, match="too large for its file"):
                vectors.idx(content, Path("a"), dimensions=3)

    def test_a_header_without_an_end(self):
        head = b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + bytes(1000)
        with pytest.raises(CorpusError, match="newer format"):
            list(vectors.archive(zipped(x__npy=head, y__npy=npy((1,))), Path("a")))

    def test_another_packing(self):
        with pytest.raises(CorpusError, match="another method"):
            list(vectors.archive(bomb((2, 2), method=zipfile.ZIP_LZMA), Path("a")))

    def test_an_array_for_more_than_the_memory(self, monkeypatch):
        monkeypatch.setattr(memory, "available", lambda: 900_000)
        with pytest.raises(CorpusError, match=r"need about 2 MB of memory\. Received: 1 MB"):
            list(vectors.archive(bomb((1000, 100)), Path("a")))

    def test_a_table_for_more_than_the_memory(self, place, monkeypatch):
        monkeypatch.setattr(memory, "available", lambda: 39)
        with pytest.raises(CorpusError, match=r"t\.csv would need"):
            read(place(t__csv="a,x\nb,y\n") / "t.csv")

    def test_real_data_is_no_bomb(self):
        """Zeros of some size, and wide one-hot vectors of any, which are packed best."""
        assert len(list(vectors.archive(bomb((1000, 1000), "|u1"), Path("a")))) == 1000
        one_hot = np.eye(1024, dtype=np.int64)[np.random.default_rng(0).integers(1024, size=2000)]
        content = io.BytesIO()
        np.savez_compressed(content, x=one_hot[:, None], y=np.arange(2000))
        assert one_hot.nbytes < 0.9 * vectors._RATIO * len(content.getvalue())


def test_the_datasets_of_the_course(datasets_directory):
    names = read(datasets_directory / "names")
    assert (len(names.labels), len(names.classes)) == (20_074, 18)
    news = datasets_directory / "ag_news"
    training = read(news / "train_15k.csv", class_names=news / "classes.txt")
    assert len(training.labels) == 15_181
    assert training.classes == ("Business", "Sci/Tech", "Sports", "World")
    test = read(news / "test.csv")
    assert len(test.labels) == 7_600
    assert test.sequences[0].startswith("Fears for T N pension after talks Unions")
    with (news / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {3}
    assert test.labels == tuple(row[0] for row in rows)
    training_digits = read(datasets_directory / "mnist")
    assert (len(training_digits.labels), training_digits.name) == (60_000, "mnist")
    digits = read(datasets_directory / "mnist" / "t10k-images-idx3-ubyte.gz")
    assert (len(digits.labels), digits.sequences[0].shape) == (10_000, (28, 28))
