"""options -> keras.Model: `[ids, *states] -> [logits, *states]`.

State is explicit, so one set of weights trains at 64 rows, samples at 1 or 1,000, and is validated in
between without its training state being touched. The layers are called with what Keras needs to pick
cuDNN on a GPU: tanh, sigmoid, bias, no recurrent dropout, no unrolling.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.config.options import ModelOptions
from lstmega.data.vocabulary import Vocabulary
from lstmega.nn import rnn as recurrent
from lstmega.nn.devices import keras, tf
from lstmega.nn.dropout import Masks, dropped

_FOLDED = 3  # a table's row costs about a third of a feature: one product has all steps' one-hot ids
LAYERS = {"lstm": recurrent.LSTM, "gru": recurrent.GRU, "rnn": keras.layers.SimpleRNN}


def build(options: ModelOptions, vocabulary_size: int, *, seed: int) -> keras.Model:
    """Make an untrained model.

    Args:
        options: Cell, units, layers, embedding and how they are wired.
        vocabulary_size: Number of token ids.
        seed: Decides the weights; nothing global is touched.

    Returns:
        A functional model of `[ids [rows, time], *states] -> [logits [rows, time, vocabulary],
        *states]`; states are per layer `h, c` (lstm) or `h`, each `[rows, units]`. Only its weights
        are meant to be saved. It adds no noise: `forward` does.
    """
    layers = _layers(options, vocabulary_size, seed)
    ids = keras.Input((None,), dtype="int32", name="ids")
    embedded = layers["embedding"](ids)  # [rows, time, embedding]
    given = [
        keras.Input((options.units,), dtype="float32", name=f"{name}_{part}")
        for name in options.layer_names()
        for part in _parts(options)
    ]
    logits, *states = _wired(
        layers.__getitem__,
        options,
        lambda layer, states: layer(embedded, initial_state=states),
        given,
        {},
    )
    return keras.Model([ids, *given], [logits, *states], name="lstmega")


def _parts(options: ModelOptions) -> tuple[str, ...]:
    return ("h", "c") if options.cell == "lstm" else ("h",)


def _layers(options: ModelOptions, vocabulary_size: int, seed: int) -> dict[str, keras.Layer]:
    seeds = iter(
        np.random.SeedSequence(seed)
        .generate_state(2 * options.layers + 2 + len(options.hidden))
        .tolist()
    )
    uniform = keras.initializers.RandomUniform(-0.05, 0.05, seed=next(seeds))
    start = keras.initializers.Identity() if options.one_hot else uniform
    embedding = keras.layers.ReversibleEmbedding if options.tied else keras.layers.Embedding
    layers = [
        embedding(
            vocabulary_size,
            vocabulary_size if options.one_hot else options.embedding,
            embeddings_initializer=start,
            trainable=not options.one_hot,
            dtype="float32",
            name="embedding",
        ),
        *(_recurrent(options, name, next(seeds), next(seeds)) for name in options.layer_names()),
        *(keras.layers.LayerNormalization(dtype="float32", name=name) for name in options.norm_names()),
        *(
            _dense(units, name, next(seeds), activation="relu")
            for name, units in zip(options.hidden_names(), options.hidden, strict=True)
        ),
        _dense(
            options.embedding if options.tied else vocabulary_size,
            "projection" if options.tied else "logits",
            next(seeds),
        ),
    ]
    return {layer.name: layer for layer in layers}


def _dense(units: int, name: str, seed: int, activation: str | None = None) -> keras.layers.Dense:
    start = keras.initializers.GlorotUniform(seed=seed)
    return keras.layers.Dense(units, activation, kernel_initializer=start, dtype="float32", name=name)


def _recurrent(options: ModelOptions, name: str, kernel_seed: int, recurrent_seed: int) -> keras.Layer:
    return LAYERS[options.cell](
        options.units,
        return_sequences=True,
        return_state=True,
        kernel_initializer=keras.initializers.GlorotUniform(seed=kernel_seed),
        recurrent_initializer=keras.initializers.Orthogonal(seed=recurrent_seed),
        seed=recurrent_seed,  # of masks that we do not use, but that are part of the exact state
        dtype="float32",
        name=name,
    )


def _wired(
    get: Callable[[str], keras.Layer],
    options: ModelOptions,
    first: Callable[..., Sequence[Any]],
    states: Sequence[Any],
    masks: Masks,
) -> list[Any]:
    """Lead text through the layers.

    Args:
        get: Gives a layer by its name.
        options: How they are wired.
        first: Calls the lowest recurrent layer with its states: `(layer, states) -> [hidden, *states]`.
        states: Each `[rows, units]`.
        masks: What is dropped on the way, from `noise.draw`.

    Returns:
        Logits `[rows, time, vocabulary]`, then the new states.
    """
    parts, new, hidden = len(_parts(options)), [], None
    for number, name in enumerate(options.layer_names()):
        layer, given = get(name), states[number * parts : (number + 1) * parts]
        with dropped(layer, masks):
            if hidden is None:
                above, *after = first(layer, given)  # [rows, time, units]
            else:
                below = get(f"{name}_norm")(hidden) if options.layer_norm else hidden
                above, *after = layer(below, initial_state=given)
        hidden = hidden + above if options.residual and hidden is not None else above
        if number + 1 < options.layers and name in masks:
            hidden *= masks[name]
        new += after
    if options.layer_norm:
        hidden = get("head_norm")(hidden)
    if name in masks:
        hidden *= masks[name]
    for layer in options.hidden_names():
        hidden = get(layer)(hidden)
        if layer in masks:
            hidden *= masks[layer]
    if options.tied:
        return [get("embedding")(get("projection")(hidden), reverse=True), *new]
    return [get("logits")(hidden), *new]


def forward(
    network: keras.Model,
    options: ModelOptions,
    ids: tf.Tensor,
    states: Sequence[tf.Tensor],
    *,
    masks: Masks = MappingProxyType({}),
) -> list[tf.Tensor]:
    """Do what `network([ids, *states])` does, in less time where its embedding can be folded.

    Args:
        network: As from `build`.
        options: The network's.
        ids: `[rows, time]`.
        states: Each `[rows, units]`.
        masks: The noise that training adds, from `noise.draw`.

    Returns:
        Logits `[rows, time, vocabulary]`, then the new states.
    """
    embeddings = network.get_layer("embedding").embeddings

    def first(layer, given):
        if "embedding" in masks:
            return layer(tf.gather(embeddings, ids) * masks["embedding"], initial_state=given)
        if _folds(layer, embeddings.shape):
            return layer.read(ids, embeddings, given)
        return layer(tf.gather(embeddings, ids), initial_state=given)

    return _wired(network.get_layer, options, first, states, masks)


def _folds(layer: keras.Layer, shape: Sequence[int]) -> bool:
    """Tell whether a table of the first layer's gates costs less than the embedding's products."""
    vocabulary_size, width = shape
    return recurrent.is_fast(layer) and vocabulary_size <= _FOLDED * width


def zero_states(options: ModelOptions, rows: int) -> list[tf.Tensor]:
    """Return the state before any text: per layer and part zeros `[rows, units]`."""
    parts = options.layers * len(_parts(options))
    return [tf.zeros((rows, options.units)) for _ in range(parts)]


def adopt(
    model: keras.Model,
    known: Mapping[str, npt.NDArray[np.float32]],
    before: Vocabulary,
    now: Vocabulary,
) -> None:
    """Take another model's weights; the rows of characters that it did not know stay fresh.

    Args:
        model: As fresh from `build`, of the same options.
        known: The weights to take, by the names of `ModelOptions.weight_shapes`.
        before: The vocabulary of `known`.
        now: The model's, which has every character of `before`.
    """
    size = len(before.characters)
    to, unknown = now.encode(before.characters), before.has_unknown
    axes = {"embedding/embeddings": 0, "logits/kernel": -1, "logits/bias": -1}
    for layer in model.layers:
        if layer.name == "embedding" and not layer.trainable:  # one-hot: the kernel reads characters
            axes |= {f"{name}_1/kernel": 0 for name in LAYERS}
            continue
        for variable in layer.weights:
            taken = known[f"{layer.name}/{variable.name}"]
            axis = axes.get(f"{layer.name}/{variable.name}")
            if axis is not None:
                fresh = np.moveaxis(np.array(variable.numpy()), axis, 0)  # [vocabulary, ...]
                rows = np.moveaxis(taken, axis, 0)
                fresh[to] = rows[:size]
                fresh[now.unknown_id or 0 : len(now) if unknown else 0] = rows[size:]
                taken = np.moveaxis(fresh, 0, axis)
            variable.assign(taken)


def weights(model: keras.Model) -> dict[str, npt.NDArray[np.float32]]:
    """Return a copy of the weights by the names of `ModelOptions.weight_shapes`."""
    return {
        f"{layer.name}/{variable.name}": np.array(variable.numpy())
        for layer in model.layers
        for variable in layer.weights
    }
