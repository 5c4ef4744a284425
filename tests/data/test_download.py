"""Named corpora, from an HTTP server on the loopback interface."""

import dataclasses
import hashlib
import http.server
import os
import socket
import threading
from types import MappingProxyType

import pytest

from lstmega.data import corpus
from lstmega.data import download as downloads
from lstmega.errors import CorpusError, DownloadError, LstmegaError

TEXT = b"The right text.\n" * 20_000
SHA256 = hashlib.sha256(TEXT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Answers `/<what>` as the tests need it and counts the requests."""

    daemon_threads = True
    requests = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        getattr(self, self.path.strip("/"))()

    def log_message(self, *arguments):
        pass

    def answer(self, body, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def right(self):
        self.answer(TEXT)

    def wrong(self):
        self.answer(TEXT.replace(b"right", b"wrong"))

    def short(self):
        self.answer(TEXT[:100])

    def cut(self):
        self.answer(TEXT[:100_000], len(TEXT))
        self.close_connection = True

    def absent(self):
        self.send_error(404)

    def moved(self):
        self.send_response(302)
        self.send_header("Location", "/right")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def huge(self):
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(1000):
                self.wfile.write(bytes(1 << 16))
        except ConnectionError:
            self.server.refused = True

    def garbage(self):
        self.wfile.write(b"this is not HTTP\r\n\r\n")


@pytest.fixture(scope="module")
def server():
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def address(server, monkeypatch):
    """A function that sets the address of `nietzsche`, its hash and its size."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def use(what, port=None):
        url = f"http://127.0.0.1:{port or server.server_port}/{what}"
        named = dataclasses.replace(downloads.NAMED["nietzsche"], url=url, sha256=SHA256, size=len(TEXT))
        registry = MappingProxyType({**downloads.NAMED, "nietzsche": named})
        monkeypatch.setattr(downloads, "NAMED", registry)
        return url

    return use


def refusal(corpora) -> str:
    """Fetch, and return the message of the failure that left nothing behind."""
    with pytest.raises(DownloadError) as caught:
        downloads.fetch("nietzsche", corpora=corpora)
    assert caught.value.exit_code == 1
    assert not corpora.exists() or not list(corpora.iterdir())
    message = str(caught.value)
    assert str(corpora / "nietzsche.txt") in message
    assert SHA256 in message
    assert "--corpus pydoc" in message
    return message


def test_the_right_file_is_downloaded_once(server, address, tmp_path):
    address("right")
    before = server.requests
    seen = []
    path = downloads.fetch(
        "nietzsche", corpora=tmp_path / "new" / "corpora", progress=lambda *at: seen.append(at)
    )
    assert path == tmp_path / "new" / "corpora" / "nietzsche.txt"
    assert path.read_bytes() == TEXT
    assert list(path.parent.iterdir()) == [path]
    assert seen[-1] == (len(TEXT), len(TEXT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert downloads.fetch("nietzsche", corpora=path.parent) == path
    assert server.requests == before + 1


@pytest.mark.parametrize("name", ["nietzsche", "nietzsche.txt"])
def test_reading_a_name_downloads_it(server, address, tmp_path, name):
    address("moved")
    read = corpus.read([name], corpora=tmp_path)
    assert read.text == TEXT.decode()
    assert read.name == "nietzsche"
    assert read.sources == (corpus.Source("nietzsche", "utf-8", len(TEXT), SHA256),)
    before = server.requests
    assert corpus.read([name], corpora=tmp_path) == read
    assert server.requests == before


def test_a_file_of_that_path_comes_before_the_name(address, tmp_path, monkeypatch):
    address("right")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nietzsche.txt").write_text("my own")
    assert corpus.read(["nietzsche.txt"]).text == "my own"
    assert corpus.read(["nietzsche"]).text == TEXT.decode()


def test_another_file_is_refused_with_both_hashes(address, tmp_path):
    address("wrong")
    message = refusal(tmp_path)
    assert hashlib.sha256(TEXT.replace(b"right", b"wrong")).hexdigest() in message
    address("short")
    assert "100 bytes with sha256" in refusal(tmp_path)


def test_a_cut_connection(address, tmp_path):
    address("cut")
    assert f"cut after 100,000 of {len(TEXT):,} bytes" in refusal(tmp_path)


def test_an_absent_page(address, tmp_path):
    url = address("absent")
    message = refusal(tmp_path / "corpora")
    assert "404" in message
    assert url in message


def test_no_network(address, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        address("right", port=taken.getsockname()[1])
        assert "no connection" in refusal(tmp_path / "corpora")


def test_a_server_that_does_not_answer(address, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_TIMEOUT", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address("right", port=silent.getsockname()[1])
        assert "timed out" in refusal(tmp_path / "corpora")


def test_no_http(address, tmp_path):
    address("garbage")
    refusal(tmp_path / "corpora")


def test_a_much_larger_file_is_not_read_to_its_end(address, tmp_path):
    address("huge")
    assert "another file is there, larger than" in refusal(tmp_path)


def test_another_file_in_the_way_is_kept(server, address, tmp_path):
    address("right")
    before = server.requests
    path = tmp_path / "nietzsche.txt"
    path.write_text("notes of mine")
    for use in (
        lambda: downloads.fetch("nietzsche", corpora=tmp_path),
        lambda: corpus.read(["nietzsche"], corpora=tmp_path),
    ):
        with pytest.raises(DownloadError, match="is in the way") as caught:
            use()
        assert SHA256 in str(caught.value)
        assert hashlib.sha256(b"notes of mine").hexdigest() in str(caught.value)
    assert path.read_text() == "notes of mine"
    assert server.requests == before
    assert corpus.read([str(path)]).text == "notes of mine"


def test_what_is_no_file_in_the_way_is_not_opened(address, tmp_path):
    address("right")
    os.mkfifo(tmp_path / "nietzsche.txt")
    with pytest.raises(DownloadError, match="not a regular file"):
        downloads.fetch("nietzsche", corpora=tmp_path)


def test_corpora_is_a_file(address, tmp_path):
    address("right")
    (tmp_path / "corpora").write_text("x")
    with pytest.raises(DownloadError, match="File exists"):
        downloads.fetch("nietzsche", corpora=tmp_path / "corpora")


def test_a_full_disk_leaves_nothing(address, tmp_path, monkeypatch):
    address("right")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lstmega.files.sync", refuse)
    assert "No space left on device" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["pydoc", "shakespeare", "", "../nietzsche"])
def test_only_names_with_an_address_are_fetched(name, tmp_path):
    with pytest.raises(CorpusError, match="nietzsche, tinyshakespeare"):
        downloads.fetch(name, corpora=tmp_path)


def test_no_error_escapes(address, tmp_path, monkeypatch):
    named = dataclasses.replace(downloads.NAMED["nietzsche"], url="no address at all")
    monkeypatch.setattr(downloads, "NAMED", {"nietzsche": named})
    with pytest.raises(LstmegaError, match="could not be downloaded"):
        downloads.fetch("nietzsche", corpora=tmp_path)


@pytest.mark.parametrize("name", ["nietzsche", "tinyshakespeare"])
def test_the_registry_tells_the_truth(real_corpus, name):
    raw = real_corpus(f"{name}.txt").read_bytes()
    named = downloads.NAMED[name]
    assert named.url.startswith("https://")
    assert (len(raw), len(raw.decode())) == (named.size, named.characters)
    assert hashlib.sha256(raw).hexdigest() == named.sha256
