"""Writing together: a text that a person and a run go on with in turns.

Each place where the text was is kept with the run's state there. So undoing costs nothing, and only what
is added is read: a long prompt runs once.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lstmega.config.base import whole
from lstmega.config.options import WritingOptions
from lstmega.data.suffix_array import Index
from lstmega.data.vocabulary import UnknownPolicy
from lstmega.errors import UsageError
from lstmega.inference import transcripts
from lstmega.inference.generate import Desk, TrainedRun, opening
from lstmega.inference.outputs import Samples
from lstmega.inference.sampler import Position
from lstmega.inference.temperature import check_temperatures

_MOST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Place:
    """A text, and the run after it.

    Args:
        text: As a person sees it.
        position: What goes on from there.
        proposals: The last that were made there, None before.
    """

    text: str
    position: Position
    proposals: Samples | None = None


class Session:
    """A text in the making.

    The same seed and the same steps give the same text: the proposals of turn k come from `seed` + k.
    What `options` ask of a text (`regex`, `acrostic`, `require`, `lines`, ...) counts from the start of
    each proposal, and holds for each on its own; one that a stop text or a line end ends has that too,
    so that the next goes on behind it.

    Args:
        run: What writes.
        temperatures: One proposal for each, and `count` times that.
        length: Tokens of a proposal, at most.
        count: Proposals at each temperature.
        prompt: What the text begins with; None is an excerpt of the held-out text.
        seed: None draws one.
        unknown: What becomes of characters that the run has never seen.
        options: What may follow in a proposal, and what ends it.
        training: The text that the run was trained on, for `no_copy`.

    Raises:
        UsageError, PromptError, RunError: As for `sampling.sample`.
    """

    def __init__(
        self,
        run: TrainedRun,
        *,
        temperatures: Sequence[float] = (0.4, 0.7, 1.0),
        length: int = 80,
        count: int = 1,
        prompt: str | None = None,
        seed: int | None = None,
        unknown: UnknownPolicy = "error",
        options: WritingOptions | None = None,
        training: Index | None = None,
    ) -> None:
        self._run, self._options = run, options or WritingOptions()
        self._unknown: UnknownPolicy = unknown
        # What was written already may have U+FFFD, for a byte or an `<unk>`: that refuses nothing.
        self._lenient: UnknownPolicy = "fold" if unknown == "error" else unknown
        self.length, self.count = length, count
        self._desk = Desk(run, check_temperatures(temperatures), options, training)
        seed = secrets.randbits(32) if seed is None else seed
        ids, self._start = opening(run, prompt, seed, unknown)
        self._past = [Place(self._start.prompt, self._desk.read(ids))]
        self._future: list[Place] = []
        self._turn = 0
        self._saved: set[Path] = set()  # files that hold this session's text

    @property
    def length(self) -> int:
        """Tokens of a proposal, at most."""
        return self._length

    @length.setter
    def length(self, value: int) -> None:
        self._length = whole("The length of a proposal", value, 1, 1_000_000)

    @property
    def count(self) -> int:
        """Proposals at each temperature."""
        return self._count

    @count.setter
    def count(self, value: int) -> None:
        self._count = whole("--count", value, 1, 1000)

    @property
    def text(self) -> str:
        """The text so far."""
        return self._past[-1].text

    @property
    def proposals(self) -> Samples | None:
        """The last proposals for this place: after `undo` those that were there; None before any."""
        return self._past[-1].proposals

    @property
    def last_line(self) -> str:
        """What stands behind the last line end."""
        return self.text.rpartition("\n")[2]

    @property
    def heading(self) -> str:
        """What a person needs to write the same again, in one line."""
        source = ", begun with held-out text" if self._start.prompt_is_excerpt else ""
        return f"{self._run.name}: seed {self._start.seed}{source}"

    def propose(self) -> Samples:
        """Return new proposals for what comes next, others each time.

        Those that come to their length end with a whole word, where there is a space behind one.
        """
        seed = (self._start.seed + self._turn) % (_MOST_SEED + 1)
        self._turn += 1
        start = replace(self._start, seed=seed, prompt=self.text, prompt_is_excerpt=False)
        found = self._desk.write(
            self._past[-1].position, start, length=self.length, count=self.count, with_end=True
        )
        proposals = Samples(replace(item, text=self._in_words(item.text)) for item in found)
        self._past[-1] = replace(self._past[-1], proposals=proposals)
        return proposals

    def _in_words(self, text: str) -> str:
        """Return a text up to its last whole word, if it was cut off at its length."""
        stopped = any(text.endswith(stop) for stop in self._options.stop)
        cut_off = len(self._run.vocabulary.from_user(text)) >= self.length
        if self._options.complete or stopped or not cut_off:
            return text
        if self._run.vocabulary.kind == "byte":
            text = text.rstrip("\N{REPLACEMENT CHARACTER}") or text  # half a character
        last = max((at for at, character in enumerate(text) if character.isspace()), default=-1)
        return text[: last + 1] if text[: last + 1].strip() else text

    def pick(self, number: int) -> str:
        """Take a proposal, from 1 on, and return what was added.

        Raises:
            UsageError: There is none of that number.
        """
        if self.proposals is None or not 1 <= number <= len(self.proposals):
            count = len(self.proposals or ())
            raise UsageError(f"There are {count} proposals. Received: {number}.")
        added = self.proposals[number - 1].text
        self._go_to(self.text + added, self._lenient)
        return added

    def add(self, text: str) -> None:
        """Go on with a text of one's own.

        Raises:
            PromptError: It has unknown characters under `unknown="error"`.
        """
        self.replace(self.text + text)

    def cut(self, count: int) -> str:
        """Take away so many characters at the end, and return them.

        Raises:
            UsageError: There are not so many.
        """
        if not self.text:
            raise UsageError(f"There is nothing to cut. Received: {count}, and an empty text.")
        whole("The number of characters to cut", count, 1, len(self.text))
        kept, cut = self.text[:-count], self.text[-count:]
        self._go_to(kept, self._lenient)
        return cut

    def edit(self, line: str) -> None:
        """Put another line, or several, in the place of the last one.

        Raises:
            PromptError: It has unknown characters under `unknown="error"`.
        """
        self.replace(self.text.removesuffix(self.last_line) + line)

    def replace(self, text: str) -> None:
        """Put another text in the place of this one; only what is new is read.

        Raises:
            PromptError: What is new has unknown characters under `unknown="error"`.
        """
        differing = (
            at for at, pair in enumerate(zip(self.text, text, strict=False)) if len({*pair}) > 1
        )
        new = text[next(differing, min(len(self.text), len(text))) :]
        self._run.vocabulary.encode_prompt(new, unknown=self._unknown)  # or refuses
        self._go_to(text, self._lenient)

    def _go_to(self, text: str, unknown: UnknownPolicy) -> None:
        if text == self.text:
            return
        known = [place for place in self._past if text.startswith(place.text)]
        if known:
            ground = max(known, key=lambda place: len(place.text))
            ids = self._run.vocabulary.encode_prompt(text[len(ground.text) :], unknown=unknown)
            position = self._desk.read(ids, ground.position) if len(ids) else ground.position
        else:
            position = self._desk.read(opening(self._run, text, 0, unknown)[0])
        self._past.append(Place(text, position))
        self._future.clear()

    def undo(self) -> None:
        """Go back to the text before the last change, and to its proposals.

        Raises:
            UsageError: Nothing was changed.
        """
        if len(self._past) == 1:
            raise UsageError("There is nothing to undo. Received: a text as it began.")
        self._future.append(self._past.pop())

    def redo(self) -> None:
        """Take the last undoing back.

        Raises:
            UsageError: Nothing was undone since the last change.
        """
        if not self._future:
            raise UsageError("There is nothing to do again. Received: no undoing before.")
        self._past.append(self._future.pop())

    def heat(self, temperatures: Sequence[float]) -> None:
        """Propose at other temperatures from now on.

        Raises:
            UsageError: One is below 0 or not finite.
        """
        self._desk = self._desk.at(check_temperatures(temperatures))

    def save(self, path: str | Path) -> Path:
        """Write the text to a file, whole or not at all, and return its path.

        Raises:
            UsageError: Another text is there that this session did not write, or no directory is.
            OSError: The disk refuses.
        """
        path = Path(path)
        transcripts.save(path, self.text, ours=path.resolve() in self._saved)
        self._saved.add(path.resolve())
        return path
