"""What two runs must have in common to be the same training."""

import dataclasses

from lstmega.runs import state as states

_TIMES = {"seconds": 0.0, "characters_per_second": 0.0}


def everything(run):
    """Return all that a run holds, bit by bit, apart from its name and the time that it took."""
    newest = states.paths(run.states)[0]
    content = {path.name: path.read_bytes() for path in newest.glob("*.safetensors")}
    for saved in run.record.weights:
        content[saved.file] = run.weights_path(saved.file).read_bytes()
    if (counts := run.path / "ngram.safetensors").exists():
        content[counts.name] = counts.read_bytes()
    info = {"data" if run.record.kind == "classifier" else "text": run.record.info}
    info = {name: dataclasses.replace(value, origins=()) for name, value in info.items()}
    record = dataclasses.replace(run.record, created="", seconds=0.0, name="", logs={}, **info)
    history = [dataclasses.replace(row, **_TIMES) for row in run.history()]
    samples = run.samples().replace(f"{run.name}: temperature", "temperature")
    return content | {"record": record, "history": history, "samples": samples}
