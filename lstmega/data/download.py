"""Named corpora: downloaded once, checked against a sha256, whole or absent.

`fetch` is the only function of the package that uses a network.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from lstmega import files
from lstmega.errors import CorpusError, DownloadError, reason_of

OnBytes = Callable[[int, int | None], None]  # called with the bytes done and in all

_TIMEOUT = 30.0  # seconds without an answer
_BLOCK = 1 << 16
_SLACK = 1 << 20  # bytes above the known size: a longer body is another file


@dataclass(frozen=True)
class NamedCorpus:
    """A text that `--corpus NAME` stands for.

    Args:
        name: Its name; the file is `<name>.txt`.
        title: A description in one line.
        url: Its public address; None where it needs no network.
        sha256: Of its bytes, 64 hexadecimal digits; None where it depends on the machine.
        size: In bytes; None where it depends on the machine.
        characters: Its length as a corpus.
        source: Licence and origin.
    """

    name: str
    title: str
    url: str | None
    sha256: str | None
    size: int | None
    characters: int
    source: str


_CORPORA = (
    NamedCorpus(
        "nietzsche",
        "Nietzsche, Beyond Good and Evil and part of Human, All Too Human, in English",
        "https://s3.amazonaws.com/text-datasets/nietzsche.txt",
        "23cf69874ab69d3d256099ab530ea4be24d47d9675b673bcc67cbcd6298ec647",
        600_901,
        600_893,
        "public domain; the text of Keras' own text generation example",
    ),
    NamedCorpus(
        "tinyshakespeare",
        "Shakespeare, 40,000 lines of the plays",
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        1_115_394,
        1_115_394,
        "public domain; collected by Andrej Karpathy for char-rnn",
    ),
    NamedCorpus(
        "pydoc",
        "The prose of the Python language reference, which is in every CPython",
        None,
        None,
        None,
        199_816,
        "PSF License; pydoc_data.topics, its length here is Python 3.11's",
    ),
)
NAMED: Mapping[str, NamedCorpus] = MappingProxyType({corpus.name: corpus for corpus in _CORPORA})


def fetch(name: str, *, corpora: Path, progress: OnBytes | None = None) -> Path:
    """Download a named corpus once and return its path.

    Args:
        name: A key of `NAMED` that has an address.
        corpora: The directory for `<name>.txt`; made where it is absent.
        progress: Called with the bytes done and the bytes in all.

    Returns:
        The path of a file with the registered sha256; a file that is there already needs no network.

    Raises:
        CorpusError: No such name, or one that needs no download.
        DownloadError: No network, a cut connection, another file than the registered one, or a disk
            error; `corpora` is as it was.
    """
    named = NAMED.get(name)
    if named is None or named.url is None:
        raise CorpusError(_not_downloadable(name))
    from http.client import HTTPException  # noqa: PLC0415 - nothing else needs a network

    path = corpora / f"{name}.txt"
    try:
        if path.is_symlink() or path.exists():
            _verify_existing(named, path)
        else:
            _download(named, path, progress)
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(
            f"{name!r} could not be downloaded: {_reason(error)}. Nothing was kept. Put the file at "
            f"{str(path)!r} yourself (address {named.url} , {named.size:,} bytes, sha256 "
            f"{named.sha256}), or use --corpus pydoc, which needs no network and works now."
        ) from error
    return path


def _not_downloadable(name: str) -> str:
    accepted = ", ".join(named.name for named in NAMED.values() if named.url)
    if name in NAMED:
        return (
            f"There is nothing to download for {name!r}: it ships inside Python and works now, "
            f"as --corpus {name}. Downloads: {accepted}."
        )
    return f"There is no corpus of this name. Received: {name!r}. Accepted: {accepted}."


def _verify_existing(named: NamedCorpus, path: Path) -> None:
    # Anything but a regular file is not opened: a FIFO would wait for ever.
    found = f"sha256 {files.sha256(path)}" if path.is_file() else "not a regular file"
    if found != f"sha256 {named.sha256}":
        raise DownloadError(
            f"{str(path)!r} is in the way: it is not the corpus {named.name!r}. "
            f"Received: {found}. Accepted: sha256 {named.sha256}. Move it away to download the "
            "right one, or give its path as the corpus to use it as it is."
        )


def _download(named: NamedCorpus, path: Path, progress: OnBytes | None) -> None:
    from urllib.request import Request, urlopen  # noqa: PLC0415

    # The address is the registry's, not a user's.
    request = Request(named.url or "", headers={"User-Agent": "lstmega"})  # noqa: S310
    with urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as temporary, temporary.open("wb") as file:
            _copy(named, response, file, progress)


def _copy(named: NamedCorpus, response: Any, file: BinaryIO, progress: OnBytes | None) -> None:
    """Copy a response to a file; a ValueError has the reason why it is not the corpus."""
    most, done, digest = (named.size or 0) + _SLACK, 0, hashlib.sha256()
    while done <= most and (block := response.read(_BLOCK)):
        file.write(block)
        digest.update(block)
        done += len(block)
        if progress is not None:
            progress(done, named.size)
    if digest.hexdigest() == named.sha256:
        return
    announced = response.headers["Content-Length"]
    if done > most:
        raise ValueError(f"another file is there, larger than {done:,} bytes")
    if announced and announced.isdecimal() and done < int(announced):
        raise ValueError(f"the connection was cut after {done:,} of {int(announced):,} bytes")
    raise ValueError(f"another file is there, {done:,} bytes with sha256 {digest.hexdigest()}")


def _reason(error: Exception) -> str:
    from urllib.error import HTTPError, URLError  # noqa: PLC0415

    if isinstance(error, HTTPError):
        error.close()
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, URLError):
        return f"no connection ({error.reason})"
    return reason_of(error) or type(error).__name__
