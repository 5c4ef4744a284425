"""Print the loss of nanoGPT's last checkpoint on all of a text, read in windows of 64 characters.

    python benchmarks/nanogpt_loss.py CHECKOUT VAL_BIN

Run by the interpreter that has PyTorch; nats per character, mean over all characters but the first.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

WINDOW = 64


# The part of nanoGPT's model.py that is used here, with a model of one character.
SMALLEST = """
from collections import namedtuple
import torch
GPTConfig = namedtuple("GPTConfig", "vocab_size")
class GPT(torch.nn.Embedding):
    def __init__(self, config):
        super().__init__(config.vocab_size, config.vocab_size)
    def forward(self, inputs, targets):
        logits = super().forward(inputs)
        return logits, torch.nn.functional.cross_entropy(logits[0], targets[0])
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Load, read, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, nargs="?")
    parser.add_argument("text", nargs="?", help="nanoGPT's val.bin")
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    given = parser.parse_args(arguments)
    if given.check:
        check()
    elif given.text is None:
        parser.error("give CHECKOUT and VAL_BIN")
    else:
        print(mean_loss(given.checkout, given.text))


def check() -> None:
    """Measure a random model with nanoGPT's interface."""
    if find_spec("torch") is None:
        print("skipped: PyTorch is not installed")
        return
    import torch

    with tempfile.TemporaryDirectory() as place:
        checkout = Path(place)
        (checkout / "out-shakespeare-char").mkdir()
        (checkout / "model.py").write_text(SMALLEST)
        saved = {"model_args": {"vocab_size": 5}, "model": {"weight": torch.zeros(5, 5)}}
        torch.save(saved, checkout / "out-shakespeare-char" / "ckpt.pt")
        (np.arange(100, dtype=np.uint16) % 5).tofile(checkout / "val.bin")
        print(mean_loss(checkout, checkout / "val.bin"))


def mean_loss(checkout: Path, text: str | Path) -> float:
    """Return nats per character of a text of ids.

    Args:
        checkout: A checkout of nanoGPT with a trained checkpoint.
        text: A file of ids, 16 bits each.
    """
    import torch

    sys.path.insert(0, str(checkout))
    from model import GPT, GPTConfig

    saved = torch.load(checkout / "out-shakespeare-char" / "ckpt.pt", weights_only=False)
    model = GPT(GPTConfig(**saved["model_args"]))
    model.load_state_dict(saved["model"])
    model.eval()
    ids = torch.from_numpy(np.fromfile(text, dtype=np.uint16).astype(np.int64))
    total, count = 0.0, len(ids) - 1
    with torch.inference_mode():
        for start in range(0, count, WINDOW):
            inputs, targets = ids[start : start + WINDOW][: count - start], ids[start + 1 :][:WINDOW]
            _, loss = model(inputs[None], targets[None])
            total += float(loss) * len(targets)
    return total / count


if __name__ == "__main__":
    main()
