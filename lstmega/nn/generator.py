"""GeneratorConfig -> keras.Model: `[ids, *states] -> [logits, *states]`.

State is explicit: one set of weights trains at 64 rows, samples at 1 or 1,000, and is validated in
between without a change of its training state.
"""

from collections.abc import Sequence
from typing import Any

from lstmega.config.model import GeneratorConfig
from lstmega.data.vocabulary import Vocabulary
from lstmega.inference.decoder import Weights
from lstmega.nn import backbone
from lstmega.nn.backbone import (
    CELLS,
    Backbone,
    Layers,
    applied,
    dense,
    kernel_masks,
    layers_of,
    recurrent_layers,
    seeds_of,
    states_of,
)
from lstmega.nn.devices import keras, tf
from lstmega.nn.dropout import NO_MASKS, Masks, MaskSpecs

Tensor = Any


def build(config: GeneratorConfig, vocabulary_size: int, *, seed: int) -> keras.Model:
    """Make an untrained generator.

    Args:
        config: Cell, units, layers, embedding and wiring.
        vocabulary_size: Number of token ids.
        seed: Decides the weights.

    Returns:
        A functional model `[ids [rows, time], *states] -> [logits [rows, time, vocabulary], *states]`;
        states are per layer `h, c` (lstm) or `h`, each `[rows, units]`. It adds no dropout: `forward`
        does.
    """
    layers = _layers(config, vocabulary_size, seed)
    ids = keras.Input((None,), dtype="int32", name="ids")
    states = [
        keras.Input((config.units,), dtype="float32", name=f"{name}_{state}")
        for (name,) in config.layer_names()
        for state in states_of(config)
    ]
    hidden, after = Backbone(config, layers)(ids, states)
    return keras.Model([ids, *states], [_logits(config, layers, hidden), *after], name="lstmega")


def _layers(config: GeneratorConfig, vocabulary_size: int, seed: int) -> dict[str, keras.Layer]:
    seeds = seeds_of(seed)
    uniform = keras.initializers.RandomUniform(-0.05, 0.05, seed=next(seeds))
    embedding = keras.layers.ReversibleEmbedding if config.tied else keras.layers.Embedding
    layers = [
        embedding(
            vocabulary_size,
            vocabulary_size if config.one_hot else config.embedding,
            embeddings_initializer=keras.initializers.Identity() if config.one_hot else uniform,
            trainable=not config.one_hot,
            dtype="float32",
            name="embedding",
        ),
        *recurrent_layers(config, seeds),
        *(
            dense(units, name, next(seeds), activation="relu")
            for name, units in zip(config.hidden_names(), config.hidden, strict=True)
        ),
        dense(config.embedding, "projection", next(seeds))
        if config.tied
        else dense(vocabulary_size, "logits", next(seeds)),
    ]
    return {layer.name: layer for layer in layers}


def _logits(config: GeneratorConfig, layers: Layers, hidden: Tensor, masks: Masks = NO_MASKS) -> Tensor:
    """Return the logits `[rows, time, vocabulary]` of the backbone's output `[rows, time, units]`."""
    for name in config.hidden_names():
        hidden = applied(layers[name], hidden)
        if name in masks:
            hidden *= masks[name]
    if config.tied:
        return layers["embedding"](applied(layers["projection"], hidden), reverse=True)
    return applied(layers["logits"], hidden)


def forward(
    network: keras.Model,
    config: GeneratorConfig,
    ids: Tensor,
    states: Sequence[Tensor],
    *,
    masks: Masks = NO_MASKS,
) -> list[Tensor]:
    """Compute `network([ids, *states])`, faster where its embedding can be folded, and with dropout.

    Args:
        network: From `build`.
        config: The network's configuration.
        ids: `[rows, time]`.
        states: Each `[rows, units]`.
        masks: Dropout masks, drawn from `dropout_masks`.

    Returns:
        Logits `[rows, time, vocabulary]`, then the new states.
    """
    layers = layers_of(network)
    hidden, after = Backbone(config, layers, fold=True)(ids, states, masks=masks)
    return [_logits(config, layers, hidden, masks), *after]


def dropout_masks(config: GeneratorConfig, rows: int, time: int) -> MaskSpecs:
    """Return rate and shape of every dropout mask of a batch, by the names that `forward` takes.

    Activations have shape `[rows, time, features]`, the time 1 where one mask is for all steps.
    """
    steps, kernels = 1 if config.variational else time, kernel_masks(config)
    specs: dict[str, tuple[float, tuple[int, ...]]] = {
        "embedding": (config.input_dropout, (rows, steps, config.embedding))
    }
    for (name,), rate in zip(config.layer_names(), config.dropouts(), strict=True):
        kernel = f"{name}/recurrent_kernel"
        specs |= {name: (rate, (rows, steps, config.units)), kernel: kernels[kernel]}
    for name, rate, units in zip(
        config.hidden_names(), config.hidden_dropout, config.hidden, strict=False
    ):
        specs[name] = rate, (rows, steps, units)
    return specs


def zero_states(config: GeneratorConfig, rows: int) -> list[Tensor]:
    """Return the state before any text: per layer and state zeros `[rows, units]`."""
    return [tf.zeros((rows, config.units)) for _ in range(config.layers * len(states_of(config)))]


def warm_start(network: keras.Model, weights: Weights, before: Vocabulary, now: Vocabulary) -> None:
    """Load the weights of a generator of the same configuration; rows of new tokens stay fresh.

    `now`, the network's vocabulary, has every character of `before`.
    """
    axes = {"embedding/embeddings": 0, "logits/kernel": -1, "logits/bias": -1}
    if not network.get_layer("embedding").trainable:  # one-hot: the first kernel reads characters
        axes |= {f"{cell}_1/kernel": 0 for cell in CELLS}
        weights = {name: array for name, array in weights.items() if "embedding" not in name}
    backbone.warm_start(network, weights, before, now, token_axes=axes)
