"""The generation loop that PyTorch users write: a worker of `sampling_speed.py` that needs only PyTorch.

    python benchmarks/torch_loop.py [--check]

Reads lines of "units embedding vocabulary length batched" from stdin, and answers each with the seconds
that five temperatures took: one text after the other, or all as rows of one batch.
"""

import argparse
import io
import sys
import time
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

TEMPERATURES = (0.2, 0.5, 0.8, 1.0, 1.2)


@cache
def model(units: int, embedding: int, vocabulary: int) -> Any:
    """Return an untrained model: embedding, LSTM, head."""
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(vocabulary, embedding)
            self.lstm = torch.nn.LSTM(embedding, units, batch_first=True)
            self.logits = torch.nn.Linear(units, vocabulary)

        def forward(self, ids, state=None):
            """Return logits `[rows, time, vocabulary]` and the new state."""
            outputs, state = self.lstm(self.embedding(ids), state)
            return self.logits(outputs), state

    return Model().eval()


def write(model: Any, temperatures: Sequence[float], length: int) -> list[list[int]]:
    """Write one text for each temperature, as rows of one batch."""
    import torch

    with torch.inference_mode():
        divisors = torch.tensor(temperatures)[:, None]
        ids, state, text = torch.zeros(len(temperatures), 1, dtype=torch.int64), None, []
        for _ in range(length):
            logits, state = model(ids, state)
            probabilities = torch.softmax(logits[:, -1] / divisors, dim=-1)
            ids = torch.multinomial(probabilities, 1)
            text.append(ids[:, 0].tolist())
    return text


def serve(lines: Iterable[str]) -> None:
    """Answer each line of sizes with one line of seconds."""
    for line in lines:
        units, embedding, vocabulary, length, batched = map(int, line.split())
        writer = model(units, embedding, vocabulary)
        write(writer, TEMPERATURES[:1], 3)
        start = time.perf_counter()
        for rows in [TEMPERATURES] if batched else [(each,) for each in TEMPERATURES]:
            write(writer, rows, length)
        print(time.perf_counter() - start, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    if not parser.parse_args(arguments).check:
        serve(sys.stdin)
    elif find_spec("torch") is None:
        print("skipped: PyTorch is not installed")
    else:
        serve(io.StringIO("4 4 8 2 0\n4 4 8 2 1\n"))


if __name__ == "__main__":
    main()
