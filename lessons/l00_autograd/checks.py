"""What lesson 0 proves."""

import math

import numpy as np

import minilm as ml
import minilm.functional as F
from minilm.autograd import GradientError, primitive
from minilm.course import claim, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import composite, floats, integers, permutations, st

# ------------------------------------------------------------------------------------------------------- paths, walks


@composite
def weighted_graphs(draw):
    """Edges (source, consumer, derivative) in any order, some of them twice; two nodes, the first not the larger."""
    n = draw(integers(2, 6))
    pairs = [(i, j) for j in range(n) for i in range(j)]
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=9))
    weights = draw(floats(len(chosen)))
    start = draw(integers(0, n - 1))
    return [(i, j, float(w)) for (i, j), w in zip(chosen, weights, strict=True)], start, draw(integers(start, n - 1))


@claim("L0.1", "it is the entry of 1 + W + W² + …, W the matrix of local derivatives", weighted_graphs())
def powers_of_the_matrix(impl, edges, start, end):
    W = np.zeros((6, 6))
    for source, consumer, derivative in edges:
        W[source, consumer] += derivative
    every = sum(np.linalg.matrix_power(W, k) for k in range(6))
    expect_close(impl.sum_over_paths(edges, start, end), every[start, end], "the sum over all paths")
    expect_close(impl.sum_over_paths(edges, start, start), 1.0, "the derivative of a node by itself")
    expect_close(impl.sum_over_paths([], 0, 1), 0.0, "the derivative where there is no path")


@claim("L0.1", "a chain multiplies, and edges side by side add", floats(4, low=0.5))
def chains_and_bundles(impl, derivatives):
    a, b, c, d = map(float, derivatives)
    expect_close(impl.sum_over_paths([(0, 1, a), (1, 2, b), (2, 3, c)], 0, 3), a * b * c, "a chain")
    expect_close(impl.sum_over_paths([(0, 1, a), (0, 1, b), (1, 2, c), (1, 2, d)], 0, 2), (a + b) * (c + d), "a bundle")
    expect_close(impl.sum_over_paths([(0, 1, a), (0, 2, b), (1, 2, c), (0, 3, d)], 0, 2), b + a * c, "two ways")


@composite
def tapes(draw):
    """Steps and the values of their inputs. The last step is an operation."""
    inputs = draw(integers(1, 3))
    steps = [["input"] for _ in range(inputs)]
    for i in range(inputs, inputs + draw(integers(1, 5))):
        operation = draw(st.sampled_from(["+", "*", "tanh"]))
        steps.append([operation, *(draw(integers(0, i - 1)) for _ in range(1 if operation == "tanh" else 2))])
    return steps, draw(floats(inputs, low=-2, high=2))


OPERATIONS = {"+": sum, "*": math.prod, "tanh": lambda a: math.tanh(a[0])}


def run(steps, inputs, moved=None, by=0.0):
    """The values of a tape, where step `moved` gives `by` more than it should."""
    values = []
    for i, (operation, *places) in enumerate(steps):
        a = [values[place] for place in places]
        value = inputs[i] if operation == "input" else OPERATIONS[operation](a)
        values.append(float(value) + (by if i == moved else 0.0))
    return values


@claim("L0.2", "each gradient is the slope of the last value when that value alone is moved", tapes())
def slopes(impl, steps, inputs):
    h = 1e-3
    f = lambda i, t: run(steps, inputs, i, t)[-1]  # noqa: E731
    expected = [(8 * (f(i, h) - f(i, -h)) - (f(i, 2 * h) - f(i, -2 * h))) / (12 * h) for i in range(len(steps))]
    expect_close(np.array(impl.backward(steps, run(steps, inputs))), np.array(expected), "the gradients", 1e-6)


@claim("L0.2", "doubling n times by y + y has the gradient 2ⁿ, and n squarings 2ⁿ x^(2ⁿ-1)", integers(1, 5))
def fan_out(impl, n):
    doubled = [["input"], *([["+", i, i] for i in range(n)])]
    expect_close(impl.backward(doubled, run(doubled, [0.5]))[0], 2.0**n, "of the doubled number")
    squared = [["input"], *([["*", i, i] for i in range(n)])]
    expect_close(impl.backward(squared, run(squared, [0.5]))[0], 2.0**n * 0.5 ** (2**n - 1), "of the squared number")


@claim("L0.2", "the last value has 1, and what it does not depend on has 0", tapes())
def ends(impl, steps, inputs):
    unused = [*steps, ["*", 0, 0], ["tanh", len(steps) - 1], steps[-1]]
    found = impl.backward(unused, run(unused, inputs))
    expect_close([found[-1], found[-2], found[-3]], [1.0, 0.0, 0.0], "of the last value, and of two unused ones")
    alone = impl.backward(steps, run(steps, inputs))
    expect_close(found[: len(inputs)], alone[: len(inputs)], "of the inputs, with and without unused values")


# ---------------------------------------------------------------------------------------------------------- the order


@composite
def shuffled_graphs(draw):
    """Sources of each node, numbered in no order; the last node of the hidden order, and sometimes an inner one."""
    n = draw(integers(2, 7))
    name = draw(permutations(n)).tolist()
    sources: list[list[int]] = [[] for _ in range(n)]
    for j in range(1, n):
        for i in draw(st.lists(integers(0, j - 1), min_size=1, max_size=3)):
            sources[name[j]].append(name[i])
    return sources, name[draw(integers(1, n - 1))]


def needed(sources, end):
    """All nodes that `end` depends on, by growing the set until it stays."""
    found = {end}
    while (grown := found | {s for node in found for s in sources[node]}) != found:
        found = grown
    return found


@claim("L0.3", "every node comes after all its sources, and the end comes last", shuffled_graphs())
def after_its_sources(impl, sources, end):
    order = impl.topological_order(sources, end)
    at = {node: i for i, node in enumerate(order)}
    expect(all(at.get(s, len(order)) < at[node] for node in order for s in sources[node]), "sources come first")
    expect(order[-1] == end, "the end comes last", expected=end, got=order[-1])


@claim("L0.3", "it holds the nodes that the end depends on, each once, and no other", shuffled_graphs())
def exactly_once(impl, sources, end):
    order = impl.topological_order(sources, end)
    expect_close(sorted(order), sorted(needed(sources, end)), "the nodes of the order")


@claim("L0.3", "a chain of 20,000 nodes has an order")
def deep(impl):
    n = 20_000
    expect_close(impl.topological_order([[], *([i] for i in range(n - 1))], n - 1), list(range(n)), "the order")


# ------------------------------------------------------------------------------------------------------------- arrays


@composite
def broadcasts(draw):
    """A cotangent g and a shape that broadcasts to g's: some axes 1, some of the first ones missing."""
    full = tuple(draw(st.lists(integers(1, 3), min_size=1, max_size=3)))
    shape = tuple(1 if draw(st.booleans()) else n for n in full)[draw(integers(0, len(full))) :]
    return draw(floats(*full)), shape


@claim("L0.4", "each entry is the sum of g over the places where it was used", broadcasts())
def summed_over_uses(impl, g, shape):
    places = np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), g.shape)
    sums = [math.fsum(g[places == i].tolist()) for i in range(math.prod(shape))]
    expect_close(impl.unbroadcast(g, shape), np.array(sums).reshape(shape), "the sums")


@claim("L0.4", "⟨g, broadcast x⟩ = ⟨unbroadcast g, x⟩: it is the adjoint", broadcasts(), st.integers(0, 999))
def adjoint(impl, case, seed):
    g, shape = case
    x = np.random.default_rng(seed).standard_normal(shape)
    found = impl.unbroadcast(g, shape)
    expect_shape(found, shape)
    expect_close(float(np.sum(found * x)), float(np.sum(g * np.broadcast_to(x, g.shape))), "the two inner products")


@claim("L0.4", "its own gradient is that of its values", broadcasts())
def adjoint_gradient(impl, g, shape):
    impl.unbroadcast(g, shape)
    expect_gradient(impl.unbroadcast, (g, shape), wrt=(0,))


@composite
def products(draw):
    """g (n, m), a (n, k), b (k, m)."""
    n, k, m = draw(integers(1, 4)), draw(integers(1, 4)), draw(integers(1, 4))
    return draw(floats(n, m)), draw(floats(n, k)), draw(floats(k, m))


@claim("L0.5", "each cotangent has its argument's shape, and the entries that a loop over products gives", products())
def by_loops(impl, g, a, b):
    (n, k), m = a.shape, b.shape[1]
    of_a, of_b = np.zeros((n, k)), np.zeros((k, m))
    for i in range(n):
        for j in range(m):
            for s in range(k):
                of_a[i, s] += g[i, j] * b[s, j]
                of_b[s, j] += g[i, j] * a[i, s]
    expect_close(impl.matmul_backward(g, a, b), (of_a, of_b), "the cotangents")


@claim("L0.5", "⟨g, da b + a db⟩ = ⟨ā, da⟩ + ⟨b̄, db⟩ for every small change", products(), st.integers(0, 999))
def small_changes(impl, case, seed):
    g, a, b = case
    rng = np.random.default_rng(seed)
    da, db = rng.standard_normal(a.shape), rng.standard_normal(b.shape)
    of_a, of_b = impl.matmul_backward(g, a, b)
    expect_shape(of_a, a.shape, "the cotangent of a")
    expect_shape(of_b, b.shape, "the cotangent of b")
    expect_close(float((of_a * da).sum() + (of_b * db).sum()), float((g * (da @ b + a @ db)).sum()), "the change of y")


@claim("L0.5", "it can itself be differentiated", products())
def second_order(impl, g, a, b):
    impl.matmul_backward(g, a, b)
    expect_gradient(impl.matmul_backward, (g, a, b), wrt=(0, 1, 2))


# ------------------------------------------------------------------------------------------------------------- checks


@composite
def quadratics(draw):
    n = draw(integers(1, 4))
    c, step = draw(st.sampled_from([1.0, -2.0, 0.5, 0.0])), draw(st.sampled_from([0.5, 0.25, 0.0625]))
    return draw(floats(n, n)), draw(floats(n)), c, draw(floats(n)), step


@claim("L0.6", "it misses the gradient of f by exactly c h², the third derivative's part", quadratics())
def known_error(impl, A, b, c, x, step):
    exact = [
        math.fsum([0.5 * (A[i, j] + A[j, i]) * x[j] for j in range(len(x))]) + b[i] + 3 * c * x[i] ** 2
        for i in range(len(x))
    ]
    expect_close(impl.numeric_gradient(A, b, c, x, step), np.array(exact) + c * step**2, "the differences")


@claim("L0.6", "without the cubic part the step does not matter", quadratics())
def exact_for_quadratics(impl, A, b, c, x, step):
    large, small = impl.numeric_gradient(A, b, 0.0, x, 1.0), impl.numeric_gradient(A, b, 0.0, x, 0.125)
    expect_close(large, small, "the differences of a quadratic function, by two steps")
    expect_close(large + b, impl.numeric_gradient(A, 2 * b, 0.0, x, step), "with twice the linear part")


@claim("L0.6", "a step half as large leaves a quarter of the error", quadratics())
def second_order_of_accuracy(impl, A, b, c, x, step):
    coarse, middle, fine = (impl.numeric_gradient(A, b, 2.0, x, h) for h in (1.0, 0.5, 0.25))
    expect_close(coarse - middle, 4 * (middle - fine), "the change from step to step")
    expect_close(coarse - middle, np.full(len(x), 1.5), "the change from a step of 1 to one of a half, for c = 2")


@composite
def rows(draw):
    """A cotangent and logits, (T, V)."""
    T, V = draw(integers(1, 3)), draw(integers(2, 4))
    return draw(floats(T, V)), draw(floats(T, V))


def probabilities(x):
    """The softmax of each row, by plain numbers."""
    e = [[math.exp(v) for v in row] for row in x.tolist()]
    return np.array([[v / math.fsum(row) for v in row] for row in e])


@claim("L0.7", "it is the product with the Jacobian p_i ([i = j] - p_j), entry by entry", rows())
def by_the_jacobian(impl, g, x):
    p = probabilities(x)
    T, V = p.shape
    expected = [
        [math.fsum(g[t, i] * p[t, i] * ((i == j) - p[t, j]) for i in range(V)) for j in range(V)] for t in range(T)
    ]
    expect_close(impl.softmax_backward(g, p), np.array(expected), "the cotangent of x")


@claim("L0.7", "it is the slope of ⟨g, softmax⟩ when x moves", rows(), st.integers(0, 999))
def slope_of_softmax(impl, case, seed):
    g, x = case
    v, h = np.random.default_rng(seed).standard_normal(x.shape), 1e-3
    f = lambda t: float((g * probabilities(x + t * v)).sum())  # noqa: E731
    slope = (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)
    expect_close(float((impl.softmax_backward(g, probabilities(x)) * v).sum()), slope, "the slope", 1e-7)


@claim("L0.7", "every row sums to 0, and a constant added to a row of g changes nothing", rows())
def nothing_from_a_constant(impl, g, x):
    p = probabilities(x)
    found = impl.softmax_backward(g, p)
    expect_close(found.sum(-1), np.zeros(len(g)), "the sum of a row")
    expect_close(impl.softmax_backward(g + np.arange(1.0, 1 + len(g))[:, None], p), found, "with a constant added to g")
    expect_close(impl.softmax_backward(np.ones_like(g), p), np.zeros_like(g), "for the cotangent of a sum")


# -------------------------------------------------------------------------------------------------- minilm's own check


@claim("L0.8", "minilm's gradients pass it, to the second order", integers(1, 3), integers(1, 4), integers(0, 99))
def engine_is_right(n, m, seed):
    rng = np.random.default_rng(seed)
    x, w, b = rng.standard_normal((n, 3)), rng.standard_normal((3, m)), rng.standard_normal(m)
    expect(ml.gradcheck(lambda x, w, b: F.softmax(F.tanh(x @ w + b) * x.sum()), x, w, b, order=2), "gradcheck passes")


def softmax_with(rule):
    """A softmax whose gradient rule is rule(g, p)."""
    softmax = primitive(lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True))
    softmax.vjp("x")(lambda g, y: rule(g, y))
    return softmax


@claim("L0.8", "it refuses each wrong softmax of this lesson, whatever the seed", integers(0, 99))
def wrong_ones_are_refused(seed):
    wrong = {
        "zeros": lambda g, p: 0 * g,
        "seven times": lambda g, p: 7 * p * (g - (g * p).sum(-1, keepdims=True)),
        "mean": lambda g, p: p * (g - g.mean(-1, keepdims=True)),
        "no sum": lambda g, p: g * p,
    }
    x = np.random.default_rng(seed).standard_normal((2, 3))
    for name, rule in wrong.items():
        try:
            refused = not ml.gradcheck(softmax_with(rule), x, seed=seed)
        except GradientError:
            refused = True
        expect(refused, f"the softmax with the gradient “{name}” is refused")
