"""Print what nanoGPT's last checkpoint costs on all of a text, in windows of 64 characters.

    python benchmarks/nanogpt_loss.py CHECKOUT VAL_BIN

Run by the interpreter that has PyTorch; nats per character, mean over all characters but the first.
"""

import sys
from pathlib import Path

import numpy as np
import torch

WINDOW = 64


def main() -> None:
    """Load, read, print."""
    checkout, text = Path(sys.argv[1]), sys.argv[2]
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
    print(total / count)


if __name__ == "__main__":
    main()
