"""The generation loop that PyTorch users write; a worker of `sampling_speed.py`, needs only torch.

Reads lines of "units embedding vocabulary length batched" from stdin, and answers each with the seconds
that five temperatures took: one text after the other, or all as rows of one batch.
"""

import sys
import time

import torch

TEMPERATURES = torch.tensor([0.2, 0.5, 0.8, 1.0, 1.2])


class Model(torch.nn.Module):
    """Embedding, LSTM, head."""

    def __init__(self, units: int, embedding: int, vocabulary: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, embedding)
        self.lstm = torch.nn.LSTM(embedding, units, batch_first=True)
        self.logits = torch.nn.Linear(units, vocabulary)

    def forward(self, ids, state=None):
        """Return logits `[rows, time, vocabulary]` and the new state."""
        outputs, state = self.lstm(self.embedding(ids), state)
        return self.logits(outputs), state


@torch.inference_mode()
def write(model: Model, temperatures: torch.Tensor, length: int) -> list[list[int]]:
    """Write one text for each temperature, as rows of one batch."""
    ids, state, text = torch.zeros(len(temperatures), 1, dtype=torch.int64), None, []
    for _ in range(length):
        logits, state = model(ids, state)
        probabilities = torch.softmax(logits[:, -1] / temperatures[:, None], dim=-1)
        ids = torch.multinomial(probabilities, 1)
        text.append(ids[:, 0].tolist())
    return text


def main() -> None:
    """Serve until stdin ends."""
    models: dict[tuple[int, ...], Model] = {}
    for line in sys.stdin:
        *sizes, length, batched = map(int, line.split())
        model = models.setdefault(tuple(sizes), Model(*sizes).eval())
        write(model, TEMPERATURES[:1], 3)
        start = time.perf_counter()
        for rows in [TEMPERATURES] if batched else TEMPERATURES.split(1):
            write(model, rows, length)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
