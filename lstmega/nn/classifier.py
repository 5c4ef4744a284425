"""ClassifierConfig -> keras.Model: `[inputs, lengths] -> logits`.

Rows are padded on the right and no mask is used, so that the fast layers run: a forward layer has read
no padding at any valid step, a backward layer reads the valid steps in reverse, and only these are
pooled.
"""

from typing import Any

from lstmega.config.model import ClassifierConfig
from lstmega.nn.backbone import (
    Backbone,
    Layers,
    dense,
    kernel_masks,
    layers_of,
    recurrent_layers,
    seeds_of,
)
from lstmega.nn.devices import keras, tf
from lstmega.nn.dropout import NO_MASKS, Masks, MaskSpecs

Tensor = Any


def build(
    config: ClassifierConfig, inputs: int, classes: int, *, tokens: bool, seed: int
) -> keras.Model:
    """Make an untrained classifier.

    Args:
        config: Cell, units, layers, directions and pooling.
        inputs: Vocabulary size, or features of a vector.
        classes: Number of classes.
        tokens: Whether sequences consist of tokens, which have an embedding.
        seed: Decides the weights.

    Returns:
        A functional model of `[inputs [rows, time] or [rows, time, features], lengths [rows]] -> logits
        [rows, classes]`. It adds no dropout: `forward` does.
    """
    layers = _layers(config, inputs, classes, tokens, seed)
    shape, kind = ((None,), "int32") if tokens else ((None, inputs), "float32")
    given = keras.Input(shape, dtype=kind, name="inputs")
    lengths = keras.Input((), dtype="int32", name="lengths")
    logits = _wired(config, layers, given, lengths, NO_MASKS)
    return keras.Model([given, lengths], logits, name="classifier")


def _layers(
    config: ClassifierConfig, inputs: int, classes: int, tokens: bool, seed: int
) -> dict[str, keras.Layer]:
    seeds, layers = seeds_of(seed), []
    if tokens:
        start = keras.initializers.RandomUniform(-0.5, 0.5, seed=next(seeds))
        layers.append(
            keras.layers.Embedding(
                inputs, config.embedding, embeddings_initializer=start, dtype="float32", name="embedding"
            )
        )
    layers += recurrent_layers(config, seeds)
    layers.append(dense(classes, "classes", next(seeds)))
    return {layer.name: layer for layer in layers}


def _wired(
    config: ClassifierConfig, layers: Layers, inputs: Tensor, lengths: Tensor, masks: Masks
) -> Tensor:
    hidden, _ = Backbone(config, layers)(inputs, lengths=lengths, masks=masks)
    pooled = Pooled(config.pool, config.units)(hidden, lengths)  # [rows, width]
    if "pooled" in masks:
        pooled *= masks["pooled"]
    return layers["classes"](pooled)


def forward(
    network: keras.Model,
    config: ClassifierConfig,
    inputs: Tensor,
    lengths: Tensor,
    *,
    masks: Masks = NO_MASKS,
) -> Tensor:
    """Compute `network([inputs, lengths])` with dropout.

    Args:
        network: From `build`.
        config: The network's configuration.
        inputs: Ids `[rows, time]`, or vectors `[rows, time, features]`.
        lengths: Valid steps of each row, `[rows]`.
        masks: Dropout masks, from `split_masks`.

    Returns:
        Logits `[rows, classes]`.
    """
    return _wired(config, layers_of(network), inputs, lengths, masks)


def dropout_masks(config: ClassifierConfig, rows: int, time: int, *, tokens: bool) -> MaskSpecs:
    """Return rate and shape of every dropout mask of a batch; one mask is for all steps of a row.

    Args:
        config: The rates.
        rows, time: The size of the batch.
        tokens: Whether sequences consist of tokens, of which some are dropped: `tokens [rows, time]`.
    """
    between = config.dropout if config.layers > 1 else 0.0
    specs: dict[str, tuple[float, tuple[int, ...]]] = {
        "pooled": (config.dropout, (rows, config.width)),
        "between": (between, (config.layers - 1, rows, 1, config.width)),
    }
    if tokens:
        specs["embedding"] = config.input_dropout, (rows, 1, config.embedding)
        specs["tokens"] = config.token_dropout, (rows, time)
    return specs | dict(kernel_masks(config))


def split_masks(config: ClassifierConfig, masks: Masks) -> Masks:
    """Return the masks by the names that `forward` takes: those between layers one by one."""
    if "between" not in masks:
        return masks
    lower = config.layer_names()[:-1]
    return {**masks, **{names[0]: masks["between"][number] for number, names in enumerate(lower)}}


class Pooled(keras.layers.Layer):
    """The last valid step of each direction, or the mean or maximum over valid steps: `[rows, width]`.

    Args:
        pool: `last`, `mean` or `max`.
        units: Features of one direction.
    """

    def __init__(self, pool: str, units: int) -> None:
        super().__init__()
        self._pool, self._units = pool, units

    def call(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Pool `hidden [rows, time, width]` over the first `lengths [rows]` steps."""
        if self._pool == "last":
            last = tf.gather(hidden, lengths - 1, axis=1, batch_dims=1)  # [rows, width]
            return tf.concat([last[:, : self._units], hidden[:, 0, self._units :]], axis=-1)
        valid = tf.sequence_mask(lengths, tf.shape(hidden)[1])[:, :, None]  # [rows, time, 1]
        if self._pool == "max":
            return tf.reduce_max(tf.where(valid, hidden, hidden.dtype.min), axis=1)
        total = tf.reduce_sum(tf.where(valid, hidden, tf.zeros_like(hidden)), axis=1)
        return total / tf.cast(lengths, hidden.dtype)[:, None]

    def compute_output_shape(self, hidden_shape: Any, lengths_shape: Any) -> Any:
        """Return `[rows, width]`."""
        return hidden_shape[0], hidden_shape[2]
