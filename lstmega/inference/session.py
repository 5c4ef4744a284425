"""Interactive writing: a text that a person and a run continue in turns.

Every version of the text is kept with the run's state after it: an undo costs nothing, and only added
text is read.
"""

import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from lstmega.config.base import check_int
from lstmega.config.generation import GenerationConfig
from lstmega.data.suffix_array import TextIndex
from lstmega.data.vocabulary import UnknownPolicy
from lstmega.errors import UsageError
from lstmega.files import Output
from lstmega.inference.generate import MOST_SEED, GeneratingRun, TextGenerator, opening
from lstmega.inference.outputs import Samples
from lstmega.inference.sampler import Position
from lstmega.inference.temperature import check_temperatures

_OPTION = "The file of a text"


@dataclass(frozen=True)
class Version:
    """One version of the text.

    Args:
        text: The text.
        position: The run's state after it, and what was learnt from it.
        proposals: The last proposals for its continuation, None before any.
        own: Whether its author wrote what it adds to the version before; a proposal is not learnt.
    """

    text: str
    position: Position
    proposals: Samples | None = None
    own: bool = True


class Session:
    """An interactive writing session.

    The same seed and the same steps give the same text: the proposals of turn k come from `seed` + k.
    Constraints (`regex`, `acrostic`, `require`, `lines`, ...) apply to each proposal on its own. A
    proposal that ends at a stop text or a line end includes it, so that the next one follows it.

    Methods raise UsageError for a value out of bounds and where there is nothing to do, PromptError for
    new characters that `unknown="error"` refuses; the text is then unchanged.

    Args:
        run: A trained generator.
        temperatures: `num_samples` proposals at each.
        length: Tokens of a proposal, at most.
        num_samples: Proposals at each temperature.
        prompt: The beginning of the text; None takes an excerpt of the held-out text.
        seed: None draws one.
        unknown: Treatment of characters that are not in the vocabulary.
        config: Constraints and stop conditions of a proposal.
        training: The text that the run was trained on, for `no_copy`.
        adapt: Whether the proposals adapt to the prompt and to what is added, but not to proposals that
            are picked. Each version of the text keeps what was learnt.

    Raises:
        UsageError, PromptError, RunError: As for `generate.sample`.
    """

    def __init__(
        self,
        run: GeneratingRun,
        *,
        temperatures: Sequence[float] = (0.4, 0.7, 1.0),
        length: int = 80,
        num_samples: int = 1,
        prompt: str | None = None,
        seed: int | None = None,
        unknown: UnknownPolicy = "error",
        config: GenerationConfig | None = None,
        training: TextIndex | None = None,
        adapt: bool = False,
    ) -> None:
        self._run, self._config = run, config or GenerationConfig()
        self._unknown: UnknownPolicy = unknown
        # The text may already contain U+FFFD, for a byte or an `<unk>`: that is not an error.
        self._lenient: UnknownPolicy = "fold" if unknown == "error" else unknown
        self.length, self.num_samples = length, num_samples
        self._adapt = adapt
        self._generator = TextGenerator(
            run, check_temperatures(temperatures), config, training, adapt=adapt
        )
        ids, self._start = opening(run, prompt, seed, unknown)
        self._past = [Version(self._start.prompt, self._generator.read(ids))]
        self._future: list[Version] = []
        self._turn = 0
        self._saved: set[Path] = set()  # files that hold this session's text

    @property
    def length(self) -> int:
        """Tokens of a proposal, at most."""
        return self._length

    @length.setter
    def length(self, value: int) -> None:
        self._length = check_int("The --length of a proposal", value, 1, 1_000_000)

    @property
    def num_samples(self) -> int:
        """Proposals at each temperature."""
        return self._num_samples

    @num_samples.setter
    def num_samples(self, value: int) -> None:
        self._num_samples = check_int("--num-samples", value, 1, 1000)

    @property
    def text(self) -> str:
        """The text so far."""
        return self._past[-1].text

    @property
    def proposals(self) -> Samples | None:
        """The last proposals for this version of the text; None before any."""
        return self._past[-1].proposals

    @property
    def last_line(self) -> str:
        """The text behind the last line end."""
        return self.text.rpartition("\n")[2]

    @property
    def heading(self) -> str:
        """Run and seed, in one line: all that is needed to repeat the session."""
        source = ", begun with held-out text" if self._start.prompt_is_excerpt else ""
        adapting = ", adapts to what you write" if self._adapt else ""
        return f"{self._run.name}: seed {self._start.seed}{source}{adapting}"

    def propose(self) -> Samples:
        """Return new proposals for the continuation, different ones each time.

        A proposal that reaches its length ends with a whole word, where it has one.
        """
        seed = (self._start.seed + self._turn) % (MOST_SEED + 1)
        self._turn += 1
        start = replace(self._start, seed=seed, prompt=self.text, prompt_is_excerpt=False)
        position, count = self._past[-1].position, self.num_samples
        found = self._generator.write(
            position, start, length=self.length, num_samples=count, with_end=True
        )
        proposals = Samples(replace(item, text=self._in_words(item.text)) for item in found)
        self._past[-1] = replace(self._past[-1], proposals=proposals)
        return proposals

    def _in_words(self, text: str) -> str:
        """Return a text up to its last whole word, if it was cut off at its length."""
        stopped = any(text.endswith(stop) for stop in self._config.stop)
        cut_off = len(self._run.vocabulary.from_user(text)) >= self.length
        if self._config.whole_text or stopped or not cut_off:
            return text
        if self._run.vocabulary.kind == "byte":
            text = text.rstrip("\N{REPLACEMENT CHARACTER}") or text  # half a character
        last = max((at for at, character in enumerate(text) if character.isspace()), default=-1)
        return text[: last + 1] if text[: last + 1].strip() else text

    def pick(self, number: int) -> str:
        """Add a proposal to the text, and return it; the first has number 1."""
        if self.proposals is None or not 1 <= number <= len(self.proposals):
            count = len(self.proposals or ())
            raise UsageError(f"There are {count} proposals. Received: {number}.")
        added = self.proposals[number - 1].text
        self._go_to(self.text + added, self._lenient, own=False)
        return added

    def add(self, text: str) -> None:
        """Add a text of your own."""
        self.replace(self.text + text)

    def cut(self, count: int) -> str:
        """Remove `count` characters at the end, and return them."""
        if not self.text:
            raise UsageError(f"There is nothing to cut. Received: {count}, and an empty text.")
        check_int("The number of characters to cut", count, 1, len(self.text))
        kept, cut = self.text[:-count], self.text[-count:]
        self._go_to(kept, self._lenient)
        return cut

    def edit(self, line: str) -> None:
        """Replace the last line by one or several lines."""
        self.replace(self.text.removesuffix(self.last_line) + line)

    def replace(self, text: str) -> None:
        """Replace the whole text; only characters behind the first change are read."""
        same = takewhile(lambda pair: pair[0] == pair[1], zip(self.text, text, strict=False))
        self._run.vocabulary.encode_prompt(
            text[len(list(same)) :], unknown=self._unknown
        )  # checks the new characters
        self._go_to(text, self._lenient)

    def _go_to(self, text: str, unknown: UnknownPolicy, *, own: bool = True) -> None:
        if text == self.text:
            return
        known = [number for number, place in enumerate(self._past) if text.startswith(place.text)]
        if known:
            number = max(known, key=lambda number: (len(self._past[number].text), number))
            ground = self._past[number]
            if self.text.startswith(text):  # a part of the next version is left
                own = self._past[number + 1].own
            ids = self._run.vocabulary.encode_prompt(text[len(ground.text) :], unknown=unknown)
            position = (
                self._generator.read(ids, ground.position, own=own) if len(ids) else ground.position
            )
        else:
            position = self._generator.read(opening(self._run, text, 0, unknown)[0])
        self._past.append(Version(text, position, own=own))
        self._future.clear()

    def undo(self) -> None:
        """Restore the text before the last change, and its proposals."""
        if len(self._past) == 1:
            raise UsageError("Nothing to undo: the text is as it began.")
        self._future.append(self._past.pop())

    def redo(self) -> None:
        """Take the last undo back."""
        if not self._future:
            raise UsageError("Nothing to redo: nothing was undone.")
        self._past.append(self._future.pop())

    @property
    def temperatures(self) -> Sequence[float]:
        """The temperatures of the next proposals."""
        return self._generator.temperatures

    @temperatures.setter
    def temperatures(self, temperatures: Sequence[float]) -> None:
        self._generator = self._generator.at(check_temperatures(temperatures))

    def save(self, path: str | Path) -> Path:
        """Write the text to a file, whole or not at all, and return its path; errors of `save_text`."""
        place = Path(path).resolve()
        save_text(path, self.text, ours=place in self._saved)
        self._saved.add(place)
        return Path(path)


def load_text(path: str | Path) -> str | None:
    """Return the text of a file that `save_text` wrote, None where there is no regular file.

    Raises:
        UsageError: It is not UTF-8, or no file could be written there.
        OSError: It cannot be read.
    """
    found = Output(path, _OPTION, force=True).check()
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    try:
        return Path(path).read_bytes().decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise UsageError(f"A text is kept in UTF-8. Received: {path}, {error.reason}.") from error


def save_text(path: str | Path, text: str, *, ours: bool) -> None:
    """Write a text as UTF-8; the rule is that of `files.Output`.

    Args:
        path: The file; its directory must exist.
        text: Every character is kept, and nothing is added.
        ours: Whether another text in the file may be replaced.

    Raises:
        UsageError: The file has another text, or cannot be written.
        OSError: The disk refuses.
    """
    output = Output(path, _OPTION, force=True)  # the rule for what is there is the next one
    if not (ours or output.to_stdout) and load_text(path) not in (None, "", text):
        raise UsageError(
            f"{path} holds another text, which is not replaced. "
            "Accepted: a new file, or a file that this session wrote."
        )
    output.write(text.encode("utf-8", "surrogatepass"))
