"""options -> keras.Model: `[ids, *states] -> [logits, *states]`.

State is explicit, so one set of weights trains at 64 rows, samples at 1 or 1,000, and is validated in
between without its training state being touched. The layers are called with what Keras needs to pick
cuDNN on a GPU: tanh, sigmoid, bias, no recurrent dropout, no unrolling.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lstmega import recurrent
from lstmega.devices import keras, tf
from lstmega.options import ModelOptions
from lstmega.vocabulary import Vocabulary

_LAYERS = {"lstm": recurrent.LSTM, "gru": recurrent.GRU, "rnn": keras.layers.SimpleRNN}


def build(options: ModelOptions, vocabulary_size: int, *, seed: int) -> keras.Model:
    """Make an untrained model.

    Args:
        options: Cell, units, layers, embedding, dropout.
        vocabulary_size: Number of token ids.
        seed: Decides the weights and every dropout mask; nothing global is touched.

    Returns:
        A functional model of `[ids [rows, time], *states] -> [logits [rows, time, vocabulary],
        *states]`; states are per layer `h, c` (lstm) or `h`, each `[rows, units]`. Only its weights
        are meant to be saved.
    """
    seeds = iter(np.random.SeedSequence(seed).generate_state(3 * options.layers + 2).tolist())
    ids = keras.Input((None,), dtype="int32", name="ids")
    uniform = keras.initializers.RandomUniform(-0.05, 0.05, seed=next(seeds))
    hidden = keras.layers.Embedding(
        vocabulary_size, options.embedding, uniform, dtype="float32", name="embedding"
    )(ids)  # [rows, time, embedding]
    inputs, states = [], []
    for name in options.layer_names():
        given = [
            keras.Input((options.units,), dtype="float32", name=f"{name}_{part}")
            for part in _parts(options)
        ]
        layer = _recurrent(options, name, next(seeds), next(seeds))
        hidden, *new = layer(hidden, initial_state=given)  # [rows, time, units]
        hidden = _dropout(options, hidden, f"{name}_dropout", next(seeds))
        inputs, states = inputs + given, states + new
    glorot = keras.initializers.GlorotUniform(seed=next(seeds))
    logits = keras.layers.Dense(
        vocabulary_size, kernel_initializer=glorot, dtype="float32", name="logits"
    )(hidden)  # [rows, time, vocabulary]
    return keras.Model([ids, *inputs], [logits, *states], name="lstmega")


def _parts(options: ModelOptions) -> tuple[str, ...]:
    return ("h", "c") if options.cell == "lstm" else ("h",)


def _recurrent(options: ModelOptions, name: str, kernel_seed: int, recurrent_seed: int) -> keras.Layer:
    return _LAYERS[options.cell](
        options.units,
        return_sequences=True,
        return_state=True,
        kernel_initializer=keras.initializers.GlorotUniform(seed=kernel_seed),
        recurrent_initializer=keras.initializers.Orthogonal(seed=recurrent_seed),
        seed=recurrent_seed,  # of masks that we do not use, but that are part of the exact state
        dtype="float32",
        name=name,
    )


def _dropout(
    options: ModelOptions, hidden: keras.KerasTensor, name: str, seed: int
) -> keras.KerasTensor:
    if options.dropout == 0:
        return hidden
    return keras.layers.Dropout(options.dropout, seed=seed, dtype="float32", name=name)(hidden)


def forward(
    network: keras.Model,
    options: ModelOptions,
    ids: tf.Tensor,
    states: Sequence[tf.Tensor],
    *,
    seeds: Sequence[tf.Tensor] = (),
) -> list[tf.Tensor]:
    """Do what `network([ids, *states])` does, in less time where its embedding can be folded.

    Args:
        network: As from `build`.
        options: The network's.
        ids: `[rows, time]`.
        states: Each `[rows, units]`.
        seeds: Of the dropout masks, for training: from `dropout_seeds`.

    Returns:
        Logits `[rows, time, vocabulary]`, then the new states.
    """
    embeddings, parts, new = network.get_layer("embedding").embeddings, len(_parts(options)), []
    hidden = None
    for number, name in enumerate(options.layer_names()):
        layer, given = network.get_layer(name), states[number * parts : (number + 1) * parts]
        if number == 0 and _folds(layer, options, embeddings.shape[0]):
            hidden, *after = layer.read(ids, embeddings, given)  # [rows, time, units]
        else:
            below = tf.gather(embeddings, ids) if number == 0 else hidden
            hidden, *after = layer(below, initial_state=given)  # [rows, time, units]
        if seeds:
            hidden = tf.nn.experimental.stateless_dropout(hidden, options.dropout, seeds[number])
        new += after
    return [network.get_layer("logits")(hidden), *new]


def _folds(layer: keras.Layer, options: ModelOptions, vocabulary_size: int) -> bool:
    """Tell whether a table of the first layer's gates costs less than the embedding's products."""
    return recurrent.is_fast(layer) and vocabulary_size <= 3 * options.embedding


def dropout_seeds(network: keras.Model, options: ModelOptions) -> list[tf.Tensor]:
    """Draw the seeds of a step's dropout masks, one for each recurrent layer, none without dropout."""
    if options.dropout == 0:
        return []
    layers = [network.get_layer(f"{name}_dropout") for name in options.layer_names()]
    return [tf.unstack(tf.cast(layer.seed_generator.next(), tf.int32)) for layer in layers]


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
    for layer in model.layers:
        for variable in layer.trainable_variables:
            taken = known[f"{layer.name}/{variable.name}"]
            if layer.name in {"embedding", "logits"}:
                axis = 0 if layer.name == "embedding" else -1
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
        for variable in layer.trainable_variables
    }
