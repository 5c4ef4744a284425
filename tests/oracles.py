"""Slow twins in plain float64 NumPy, written from the equations: what the fast code must equal."""

import math

import numpy as np


def logits(options, weights, ids):
    """Return `[time, vocabulary]` logits of one text, one row and one step at a time."""
    weights = {name: np.asarray(array, np.float64) for name, array in weights.items()}
    hidden = {name: np.zeros(options.units) for (name,) in options.layer_names()}
    memory = {name: np.zeros(options.units) for (name,) in options.layer_names()}
    rows = []
    for number in ids:
        x = weights["embedding/embeddings"][number]
        for level, (name,) in enumerate(options.layer_names()):
            below = x
            if options.layer_norm and level > 0:
                x = layer_norm(x, weights[f"{name}_norm/gamma"], weights[f"{name}_norm/beta"])
            kernel, recurrent, bias = (
                weights[f"{name}/{part}"] for part in ("kernel", "recurrent_kernel", "bias")
            )
            if options.cell == "lstm":
                hidden[name], memory[name] = lstm(
                    x, (hidden[name], memory[name]), kernel, recurrent, bias
                )
            elif options.cell == "gru":
                hidden[name] = gru(x, hidden[name], kernel, recurrent, bias)
            else:
                hidden[name] = np.tanh(x @ kernel + hidden[name] @ recurrent + bias)
            x = hidden[name] + below if options.residual and level > 0 else hidden[name]
        if options.layer_norm:
            x = layer_norm(x, weights["head_norm/gamma"], weights["head_norm/beta"])
        for name in options.hidden_names():
            x = np.maximum(x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"], 0)
        if options.tied:
            x = x @ weights["projection/kernel"] + weights["projection/bias"]
            rows.append(weights["embedding/embeddings"] @ x)
        else:
            rows.append(x @ weights["logits/kernel"] + weights["logits/bias"])
    return np.array(rows)


def layer_norm(x, gamma, beta):
    """Return a vector with mean `beta` and deviation `gamma` (Ba et al. 2016; epsilon as in Keras)."""
    return (x - x.mean()) / np.sqrt(x.var() + 1e-3) * gamma + beta


def lstm(x, state, kernel, recurrent, bias):
    """Return the next hidden and memory vectors; gates in the order i, f, c, o."""
    h, c = state
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x, h, kernel, recurrent, bias):
    """Return the next hidden vector; gates in the order z, r, h, reset after the product."""
    from_x = np.split(x @ kernel + bias[0], 3)
    from_h = np.split(h @ recurrent + bias[1], 3)
    z, r = sigmoid(from_x[0] + from_h[0]), sigmoid(from_x[1] + from_h[1])
    return z * h + (1 - z) * np.tanh(from_x[2] + r * from_h[2])


def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


def softmax(row):
    """Return the probabilities of one row of logits, as a list."""
    top = max(row)
    weights = [math.exp(value - top) for value in row]
    return [weight / sum(weights) for weight in weights]


def top_k(row, k):
    """Return the ids of the k largest values; the lower id wins a tie."""
    return set(sorted(range(len(row)), key=lambda number: (-row[number], number))[:k])


def top_p(row, p, allowed):
    """Return the shortest list of most probable ids that together have p of `allowed`'s mass."""
    probabilities = dict(zip(sorted(allowed), softmax([row[n] for n in sorted(allowed)]), strict=True))
    kept, mass = set(), 0.0
    for number in sorted(allowed, key=lambda number: (-row[number], number)):
        if mass >= p:
            break
        kept.add(number)
        mass += probabilities[number]
    return kept


def min_p(row, p, allowed):
    """Return the ids of at least p times the probability of the most probable one."""
    top = max(row[number] for number in allowed)
    return {number for number in allowed if math.exp(row[number] - top) >= p}


def kept(row, *, k=None, p=None, least=None):
    """Return the ids that top-k, top-p and min-p leave, in that order."""
    allowed = set(range(len(row))) if k is None else top_k(row, k)
    if p is not None:
        allowed = top_p(row, p, allowed)
    return allowed if least is None else min_p(row, least, allowed)


def typical(row, mass):
    """Return the ids that typical sampling leaves (Meister et al. 2023)."""
    possible = [number for number in range(len(row)) if row[number] > -math.inf]
    probability = dict(zip(possible, softmax([row[n] for n in possible]), strict=True))
    entropy = -sum(p * math.log(p) for p in probability.values())
    ranked = sorted(possible, key=lambda n: (round(abs(-math.log(probability[n]) - entropy), 9), n))
    kept, total = set(), 0.0
    for number in ranked:
        if total >= mass - 1e-12:
            break
        kept.add(number)
        total += probability[number]
    return kept


def penalised(row, text, penalty, window):
    """Return logits with the repetition penalty (Keskar et al. 2019) for ids in the last `window`."""
    recent = text if window is None else text[-window:]
    return [
        value if number not in recent else value / penalty if value > 0 else value * penalty
        for number, value in enumerate(row)
    ]


def repeating(text, size):
    """Return the ids that would complete `size` ids in a row that the text has already."""
    grams = {tuple(text[at : at + size]) for at in range(len(text) - size + 1)}
    before = tuple(text[len(text) - size + 1 :]) if len(text) >= size - 1 else None
    return {gram[-1] for gram in grams if gram[:-1] == before}


def sample(row, temperature, generator, **filters):
    """Return one id drawn from a row of logits through its cumulated probabilities."""
    if temperature == 0:
        return int(np.argmax(row))
    row = [value / temperature for value in row]
    allowed = sorted(kept(row, **filters))
    drawn = generator.random()
    for number, probability in zip(allowed, softmax([row[n] for n in allowed]), strict=True):
        drawn -= probability
        if drawn < 0:
            return number
    return allowed[-1]


def steps(decoder, ids, length, warmup, every=1):
    """What `evaluation.scoring.steps` yields, one step at a time: (positions, logits, states)."""
    count = len(ids)
    firsts = np.arange(0, count, length)[::every]
    states = decoder.zero_states(len(firsts))
    for step in range(-warmup, length):
        positions = firsts + step
        states = tuple(tuple(array * (positions != 0) for array in state) for state in states)
        logits, states = decoder.step(ids[positions.clip(0, count - 1)], states)
        if step >= 0:
            yield positions, logits, states
