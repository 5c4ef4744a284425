"""Writing together: a text that a person and a run go on with in turns.

Each place where the text was is kept with the run's state there. So undoing costs nothing, and whatever
is added is the only part that is read: a long prompt runs once.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lstmega import files
from lstmega.checks import whole
from lstmega.copies import Index
from lstmega.errors import UsageError
from lstmega.options import WritingOptions
from lstmega.samplers import Position
from lstmega.sampling import Desk, TrainedRun, opening
from lstmega.temperatures import check_temperatures
from lstmega.texts import Samples
from lstmega.vocabulary import UnknownPolicy

_MOST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Place:
    """A text, and the run after it.

    Args:
        text: As a person sees it.
        position: What goes on from there.
    """

    text: str
    position: Position


class Session:
    """A text in the making.

    The same seed and the same steps give the same text: the proposals of turn k come from `seed` + k.
    What `options` ask of a text (`regex`, `require`, ...) holds for each proposal on its own.

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
        self._run, self._options, self._training = run, options, training
        self._unknown: UnknownPolicy = unknown
        self.length = length
        self._count = whole("--count", count, 1, 1000)
        self._desk = self._at(temperatures)
        seed = secrets.randbits(32) if seed is None else seed
        ids, self._start = opening(run, prompt, seed, unknown)
        self._past = [Place(self._start.prompt, self._desk.read(ids))]
        self._future: list[Place] = []
        self._turn = 0
        self.proposals: Samples | None = None

    @property
    def length(self) -> int:
        """Tokens of a proposal, at most."""
        return self._length

    @length.setter
    def length(self, value: int) -> None:
        self._length = whole("The length of a proposal", value, 1, 1_000_000)

    @property
    def text(self) -> str:
        """The text so far."""
        return self._past[-1].text

    @property
    def heading(self) -> str:
        """What a person needs to write the same again, in one line."""
        source = ", begun with held-out text" if self._start.prompt_is_excerpt else ""
        return f"{self._run.name}: seed {self._start.seed}{source}"

    def propose(self) -> Samples:
        """Return new proposals for what comes next.

        Those that come to their length end with a whole word, where there is a space behind one.
        """
        seed = (self._start.seed + self._turn) % (_MOST_SEED + 1)
        self._turn += 1
        start = replace(self._start, seed=seed, prompt=self.text, prompt_is_excerpt=False)
        found = self._desk.write(self._past[-1].position, start, length=self.length, count=self._count)
        self.proposals = Samples(replace(item, text=self._in_words(item.text)) for item in found)
        return self.proposals

    def _in_words(self, text: str) -> str:
        asked = self._options is not None and self._options.complete
        if asked or len(self._run.vocabulary.from_user(text)) < self.length:
            return text
        last = max((at for at, character in enumerate(text) if character.isspace()), default=-1)
        return text[: last + 1] or text

    def pick(self, number: int) -> str:
        """Take a proposal, from 1 on, and return what was added.

        Raises:
            UsageError: There is none of that number.
        """
        if self.proposals is None or not 1 <= number <= len(self.proposals):
            count = len(self.proposals or ())
            raise UsageError(f"There are {count} proposals. Received: {number}.")
        added = self.proposals[number - 1].text
        self.add(added)
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
        whole("The number of characters to cut", count, 1, len(self.text))
        kept, cut = self.text[:-count], self.text[-count:]
        self.replace(kept)
        return cut

    def replace(self, text: str) -> None:
        """Put another text in the place of this one; only what is new is read.

        Raises:
            PromptError: It has unknown characters under `unknown="error"`.
        """
        if text == self.text:
            return
        known = [place for place in self._past if text.startswith(place.text)]
        if known:
            ground = max(known, key=lambda place: len(place.text))
            ids = self._run.vocabulary.encode_prompt(text[len(ground.text) :], unknown=self._unknown)
            position = self._desk.read(ids, ground.position) if len(ids) else ground.position
        else:
            position = self._desk.read(opening(self._run, text, 0, self._unknown)[0])
        self._past.append(Place(text, position))
        self._future.clear()
        self.proposals = None

    def undo(self) -> None:
        """Go back to the text before the last change.

        Raises:
            UsageError: Nothing was changed.
        """
        if len(self._past) == 1:
            raise UsageError("There is nothing to undo. Received: a text as it began.")
        self._future.append(self._past.pop())
        self.proposals = None

    def redo(self) -> None:
        """Take the last undoing back.

        Raises:
            UsageError: Nothing was undone since the last change.
        """
        if not self._future:
            raise UsageError("There is nothing to do again. Received: no undoing before.")
        self._past.append(self._future.pop())
        self.proposals = None

    def heat(self, temperatures: Sequence[float]) -> None:
        """Propose at other temperatures from now on.

        Raises:
            UsageError: One is below 0 or not finite.
        """
        self._desk = self._at(temperatures)

    def _at(self, temperatures: Sequence[float]) -> Desk:
        return Desk(self._run, check_temperatures(temperatures), self._options, self._training)

    def save(self, path: str | Path) -> Path:
        """Write the text to a file, whole or not at all, and return its path."""
        path = Path(path)
        files.write(path, self.text.encode("utf-8", "surrogatepass"))
        return path
