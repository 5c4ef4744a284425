"""Texts that a person wrote, in files: nothing of them is lost, and none is replaced by another."""

from pathlib import Path

from lstmega import files
from lstmega.errors import UsageError


def load(path: Path) -> str | None:
    """Return the text of a file as `save` wrote it, None where there is none.

    Raises:
        UsageError: It is no file of UTF-8.
        OSError: It cannot be read.
    """
    if not path.exists():
        return None
    if not path.is_file():
        raise UsageError(f"A text is kept in a regular file. Received: {path}.")
    try:
        return path.read_bytes().decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise UsageError(f"A text is kept in UTF-8. Received: {path}, {error.reason}.") from error


def save(path: Path, text: str, *, ours: bool) -> None:
    """Write a text as UTF-8, whole or not at all; a link stays one.

    Args:
        path: The file; its directory must exist.
        text: Every character is kept, and nothing is added.
        ours: Whether what is there may be replaced. An empty file may, and the same text.

    Raises:
        UsageError: Another text is there, or no directory is.
        OSError: The disk refuses.
    """
    if not path.parent.is_dir():
        raise UsageError(f"A file needs a directory that exists. Received: {path}.")
    if not ours and load(path) not in (None, "", text):
        raise UsageError(
            f"No other text is ever replaced. Received: {path}. "
            "Accepted: a name that is free, or a file that this session wrote."
        )
    files.write(path.resolve(), text.encode("utf-8", "surrogatepass"))
