"""The named corpus `pydoc`: the prose of the Python language reference, which is in every CPython.

The topics of `help()` hold the manual's sections, some of them in several topics, with grammars, code
and tables. Here each paragraph of prose stands once, on one line, in the order of the manual.
"""

import re
from collections.abc import Iterator, Mapping

_MANUAL = """
objects types numeric-types sequence-types callable-types specialattrs specialnames customization
attribute-access id-classes context-managers bltin-null-object bltin-ellipsis-object
bltin-code-objects bltin-type-objects execmodel naming dynamic-features exceptions identifiers
strings numbers integers floating imaginary conversions atom-identifiers atom-literals lists dict
yield attribute-references subscriptions slicings calls await power unary binary shifting bitwise
comparisons in booleans lambda exprlists operator-summary assert assignment augassign pass del
return raise break continue import global nonlocal compound if else while for try with function
class async truth typesseq typesseq-mutable string-methods typesmapping typesmodules typesmethods
typesfunctions formatstrings debugger
"""
_CHAPTERS = _MANUAL.split()
_LEAST_WORDS = 12
_LEAST_ORDINARY = 0.93  # share of letters, spaces and marks of a sentence
_ORDINARY = re.compile(r"[A-Za-z ,.;:'()-]")
_BEGINS = re.compile(r"(?!(?:New|Changed|Deprecated|Added|Removed) in version)[\"‘(*A-Z]")
_ENDS = re.compile(r"[.:!?)][\"”)]?\Z")
_CODE = re.compile(r" = |::=|>>>|\.\.\.")


def prose(topics: Mapping[str, str]) -> str:
    """Return the paragraphs of `pydoc_data.topics.topics`, an empty line between them."""
    later = sorted(topics.keys() - set(_CHAPTERS))
    known = dict.fromkeys(
        paragraph for name in (*_CHAPTERS, *later) for paragraph in _paragraphs(topics.get(name, ""))
    )
    return "\n\n".join(known) + "\n"


def _paragraphs(topic: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", topic):
        text = " ".join(block.split()).removeprefix("* ")
        whole = _BEGINS.match(text) and _ENDS.search(text) and not _CODE.search(text)
        ordinary = len(_ORDINARY.findall(text)) >= _LEAST_ORDINARY * len(text)
        if whole and ordinary and len(text.split()) >= _LEAST_WORDS:
            yield text
