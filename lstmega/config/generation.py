"""Options of generation: samplers, constraints and stop conditions."""

import sys
from dataclasses import dataclass
from typing import Literal

from lstmega.config.base import Config, flag, option, usage_error
from lstmega.config.training import Mix
from lstmega.errors import UsageError

Vary = Literal["char", "word", "line"]


@dataclass(frozen=True)
class GenerationConfig(Config):
    """Constraints on the next token, applied in this order:

    1. Hard constraints: `ban`, `require`, `regex`, `acrostic`, `no_copy`. A text ends where no token is
       left.
    2. On the model's own logits: `no_repeat_ngram`, then `repetition_penalty`.
    3. On the logits after temperature: `top_k`, `top_p`, `min_p`, `typical_p`.

    `stop` and `lines` end a text. `inference/logits_processors.py` names the sources.
    """

    top_k: int | None = option(None, "Sample from the k most probable characters.", 1, sys.maxsize)
    top_p: float | None = option(
        None, "Sample from the most probable characters with this total probability.", 0, 1
    )
    min_p: float | None = option(
        None, "Drop characters below this fraction of the highest probability.", 0, 1
    )
    typical_p: float | None = option(
        None,
        "Sample from the most typical characters with this total probability.",
        0,
        1,
        alias="typical",
    )
    repetition_penalty: float | None = option(
        None, "Divide the logits of characters that occurred before by this.", 0, 100, alias="penalty"
    )
    repetition_window: int | None = option(
        None,
        "Characters that --repetition-penalty looks back (default: all).",
        1,
        sys.maxsize,
        alias="penalty_window",
    )
    no_repeat_ngram: int | None = option(
        None, "Never repeat a sequence of this many characters.", 1, sys.maxsize, alias="no_repeat"
    )
    no_copy: int | None = option(
        None, "Never copy more than this many consecutive characters of the training text.", 1, 10**6
    )
    ban: tuple[str, ...] = option((), "Text that must not occur. Repeatable.")
    require: tuple[str, ...] = option((), "Text that must occur. Repeatable.")
    regex: str | None = option(None, "Regular expression that the whole text must match.")
    acrostic: str | None = option(
        None, "Word whose letters begin the lines, of at most 80 characters each."
    )
    stop: tuple[str, ...] = option((), "End a text before this string. Repeatable.")
    lines: int | None = option(None, "End a text after this many lines.", 1, sys.maxsize)
    mix: Mix | None = option(
        None, "Write with the network and the n-gram model of the run, or with the network alone (none)."
    )
    vary: Vary | None = option(
        None, "Cycle through --temps within each text: per char, per word, or evenly along each line."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("top_p", "typical_p", "repetition_penalty"):
            if getattr(self, name) == 0:
                raise usage_error(flag(name), "above 0", 0)
        if self.repetition_window is not None and self.repetition_penalty is None:
            raise UsageError(
                "--repetition-window needs --repetition-penalty. Received: no --repetition-penalty."
            )
        ending = [name for name in ("stop", "lines") if getattr(self, name)]
        if self.whole_text and ending:
            raise UsageError(
                f"{flag(ending[0])} may end a text before {flag(self.whole_text[0])} is satisfied. "
                "Received: both. Accepted: one of the two."
            )

    @property
    def whole_text(self) -> list[str]:
        """Names of the fields that constrain a whole text, so that a part of it may not satisfy them."""
        return [name for name in ("require", "regex", "acrostic") if getattr(self, name)]
