"""Products with rounded factors: the same numbers in XLA and outside, and truly bfloat16 in XLA."""

import re

import numpy as np
import pytest

from lstmega.config.model import GeneratorConfig
from lstmega.nn import generator, precision, processor
from lstmega.nn.devices import tf


def rounded(array):
    return tf.cast(tf.cast(array, tf.bfloat16), tf.float32).numpy().astype(np.float64)


def computed(work, *arrays, compiled, kind="bfloat16"):
    """Return what `work` makes of arrays, and the gradients of the sum of its squares."""

    @tf.function(jit_compile=compiled)
    def both(*arrays):
        with precision.rounding(kind, compiled=compiled), tf.GradientTape() as tape:
            tape.watch(arrays)
            result = work(*arrays)
            gradients = tape.gradient(tf.reduce_sum(result * result), arrays)
        return [result, *(part for part in gradients if part is not None)]

    return [part.numpy() for part in both(*map(tf.constant, arrays))]


def drawn(*shapes, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


compiled_or_not = pytest.mark.parametrize("compiled", [False, True])


@compiled_or_not
@pytest.mark.parametrize(("rows", "features"), [(5, 12), (16, 2048), (33, 40), (12, 4096)])
def test_a_multiplier_rounds_both_factors(rows, features, compiled):
    """Also where it pads rows that would evict each other."""
    kernel, right = drawn((7, features), (features, rows))

    def work(kernel, right):
        product = precision.Multiplier(kernel, rows)
        top, bottom = tf.split(right, [5, features - 5])
        return product(product.factor(top), product.factor(bottom))

    @tf.function(jit_compile=compiled)
    def run(kernel, right):
        with precision.rounding("bfloat16", compiled=compiled):
            return work(kernel, right)

    few = rows < 12
    expected = kernel @ right if few else rounded(kernel) @ rounded(right)
    found = run(tf.constant(kernel), tf.constant(right)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5 * features)
    if not few:
        exact = kernel.astype(np.float64) @ right
        assert np.abs(found - exact).max() > 10 * np.abs(found - expected).max()


@compiled_or_not
def test_a_contracted_product_rounds_both_factors(compiled):
    left, right = drawn((9, 70), (11, 70))

    @tf.function(jit_compile=compiled)
    def run(left, right):
        with precision.rounding("bfloat16", compiled=compiled):
            return precision.contracted(left, right)

    found = run(tf.constant(left), tf.constant(right))
    np.testing.assert_allclose(found, rounded(left) @ rounded(right).T, atol=1e-4)


@compiled_or_not
def test_a_dense_product_and_its_gradients_round_their_factors(compiled):
    sequences, kernel = drawn((4, 5, 6), (6, 3))
    found, d_sequences, d_kernel = computed(precision.dense, sequences, kernel, compiled=compiled)
    expected = rounded(sequences) @ rounded(kernel)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    pull = rounded(2 * found)
    np.testing.assert_allclose(d_sequences, pull @ rounded(kernel).T, atol=1e-4)
    wanted = np.einsum("rti,rto->io", rounded(sequences), pull)
    np.testing.assert_allclose(d_kernel, wanted, atol=1e-4)


@compiled_or_not
def test_float32_rounds_nothing(compiled):
    sequences, kernel = drawn((4, 5, 6), (6, 3))
    found = computed(precision.dense, sequences, kernel, compiled=compiled, kind="float32")
    np.testing.assert_allclose(found[0], sequences.astype(np.float64) @ kernel, atol=1e-6)


def test_the_precision_ends_with_its_block():
    (left,) = drawn((3, 3))
    with pytest.raises(ZeroDivisionError), precision.rounding("bfloat16", compiled=True):
        raise ZeroDivisionError
    np.testing.assert_allclose(precision.contracted(left, left), left @ left.T, atol=1e-6)


def a_gradient(config, rows, *, compiled, kind="bfloat16"):
    """Return the graph of a generator's gradient, its arguments, and the network's variables."""
    network = generator.build(config, 20, seed=0)
    variables = network.trainable_variables
    ids = tf.constant(np.random.default_rng(0).integers(20, size=(rows, 8)), tf.int32)
    states = [state + 0.1 for state in generator.zero_states(config, rows)]

    @tf.function(jit_compile=compiled)
    def run(ids, states):
        with precision.rounding(kind, compiled=compiled), tf.GradientTape() as tape:
            logits, *_ = generator.forward(network, config, ids, states)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(ids, logits))
            gradients = tape.gradient(loss, variables)
        return [loss, *map(tf.convert_to_tensor, gradients)]

    return run, (ids, states)


NETWORKS = {
    "lstm": GeneratorConfig(units=64, embedding=16),
    "gru": GeneratorConfig(cell="gru", units=64, embedding=16),
    "two layers": GeneratorConfig(units=64, embedding=16, layers=2),
    "embedded, not folded": GeneratorConfig(units=64, embedding=4),
    "tied": GeneratorConfig(units=64, embedding=16, tied=True),
    "hidden": GeneratorConfig(units=64, embedding=16, hidden=(24,)),
}
COUNTS = 9, 11, 18, 12, 9, 12  # of rounded products
networks = pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)


@networks
@pytest.mark.parametrize("rows", [4, 16])
def test_gradients_are_those_of_float32_but_for_the_rounding(config, rows):
    """In XLA and outside, which round the same factors."""
    found = {}
    for kind, compiled in (("float32", True), ("bfloat16", True), ("bfloat16", False)):
        run, arguments = a_gradient(config, rows, compiled=compiled, kind=kind)
        found[kind, compiled] = [part.numpy() for part in run(*arguments)]
    exact = found["float32", True]

    def distances(one, other):
        return np.array(
            [np.abs(a - b).max() / np.abs(c).max() for a, b, c in zip(one, other, exact, strict=True)]
        )

    inside, outside = found["bfloat16", True], found["bfloat16", False]
    for way in (inside, outside):
        assert 1e-4 < distances(way, exact).max() < 0.06
    assert np.median(distances(inside, outside)) < 0.3 * np.median(distances(inside, exact))


@pytest.mark.skipif(
    not processor.multiplies_bfloat16(), reason="this processor has no products of bfloat16"
)
@pytest.mark.parametrize(
    ("config", "count"), list(zip(NETWORKS.values(), COUNTS, strict=True)), ids=NETWORKS
)
def test_xla_multiplies_in_bfloat16(config, count):
    """XLA falls back to float32 without a word where the factors do not suit it."""
    run, arguments = a_gradient(config, 16, compiled=True)
    code = run.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")
    types = dict(re.findall(r"(%[\w.-]+) = (\w+)\[", code))
    products = re.findall(r"XlaDotV2\S* = f32\S* dot\((%[\w.-]+), (%[\w.-]+)\)", code)
    assert len(products) == count
    assert {types[factor] for factors in products for factor in factors} == {"bf16"}
