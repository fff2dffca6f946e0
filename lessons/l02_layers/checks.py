"""What lesson 2 proves."""

import itertools
import math

import numpy as np

import minilm as ml
import minilm.functional as F
from minilm import nn
from minilm.course import claim, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import booleans, composite, floats, ids, integers, permutations, st

# ---------------------------------------------------------------------------------------------------------- embedding


@composite
def lookups(draw):
    """ids (T,), cotangents (T, D), the vocabulary."""
    T, D, V = draw(integers(1, 5)), draw(integers(1, 3)), draw(integers(1, 4))
    return draw(ids(T, vocabulary=V)), draw(floats(T, D)), V


@claim("L2.1", "it is the product of the one-hot rows, transposed, with g", lookups())
def one_hot_product(impl, ids, g, vocabulary):
    one_hot = np.array([[float(i == v) for v in range(vocabulary)] for i in ids])
    expect_close(impl.embedding_gradient(ids, g, vocabulary), one_hot.T @ g, "the gradient of the table")


@claim("L2.1", "nothing of g is lost: its sum over all rows is the gradient's", lookups())
def nothing_lost(impl, ids, g, vocabulary):
    found = impl.embedding_gradient(ids, g, vocabulary)
    expect_shape(found, (vocabulary, g.shape[1]))
    expect_close(found.sum(0), g.sum(0), "the sum over all rows")
    twice = impl.embedding_gradient(np.repeat(ids, 2), np.repeat(g, 2, 0), vocabulary)
    expect_close(twice, 2 * found, "the gradient when each lookup happens twice")


@claim("L2.1", "the order of the lookups does not matter", lookups(), st.integers(0, 99))
def order_free(impl, case, seed):
    ids, g, vocabulary = case
    order = np.random.default_rng(seed).permutation(len(ids))
    found = impl.embedding_gradient(ids, g, vocabulary)
    expect_close(impl.embedding_gradient(ids[order], g[order], vocabulary), found, "the gradient in another order")
    expect(found[~np.isin(np.arange(vocabulary), ids)] == 0, "rows that were not looked up have the gradient 0")


# ------------------------------------------------------------------------------------------------------ cross-entropy


@composite
def predictions(draw):
    """logits (T, V), targets (T,)."""
    T, V = draw(integers(1, 4)), draw(integers(2, 5))
    return draw(floats(T, V)), draw(ids(T, vocabulary=V))


def loss_by_loops(logits, targets):
    """The mean of ln Σ eᶻ - z[target], each row shifted by its largest logit."""
    rows = []
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        top = max(row)
        rows.append(math.log(math.fsum(math.exp(z - top) for z in row)) + top - row[target])
    return math.fsum(rows) / len(rows)


@claim("L2.2", "the loss is the mean of ln Σ eᶻ - z[target]", predictions())
def value_of_the_loss(impl, logits, targets):
    expect_close(impl.cross_entropy(logits, targets)[0], loss_by_loops(logits, targets), "the loss")


@claim("L2.2", "logits of thousands are no trouble, in one row beside small ones too", predictions())
def large_logits(impl, logits, targets):
    scale = np.linspace(1, 500, len(logits))[:, None]
    wild = logits * scale[::-1] + 2000.0 * np.arange(len(logits))[:, None]
    loss, gradient = impl.cross_entropy(wild, targets)
    expect_close(loss, loss_by_loops(wild, targets), "the loss", 1e-9)
    expect(np.isfinite(gradient), "the gradient is finite")


@claim("L2.2", "the gradient is the slope of the loss", predictions(), st.integers(0, 999))
def slope_of_the_loss(impl, case, seed):
    (logits, targets), h = case, 1e-3
    v = np.random.default_rng(seed).standard_normal(logits.shape)
    f = lambda t: loss_by_loops(logits + t * v, targets)  # noqa: E731
    slope = (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)
    gradient = impl.cross_entropy(logits, targets)[1]
    expect_shape(gradient, logits.shape, "the gradient")
    expect_close(float((gradient * v).sum()), slope, "the slope", 1e-7)


@claim("L2.2", "each row of the gradient sums to 0, and only the target's entry is negative", predictions())
def signs(impl, logits, targets):
    _, gradient = impl.cross_entropy(logits, targets)
    expect_close(gradient.sum(-1), np.zeros(len(logits)), "the sum of a row")
    at_target = np.eye(logits.shape[1], dtype=bool)[targets]
    expect((gradient < 0) == at_target, "negative at the targets alone")
    expect_close(impl.cross_entropy(logits + 3.0, targets)[1], gradient, "with 3 added to all logits")


# --------------------------------------------------------------------------------------------------------------- GELU


@claim("L2.3", "it is the formula, number by number", floats(2, 3, low=-4, high=4))
def gelu_by_numbers(impl, x):
    s = math.sqrt(2 / math.pi)
    expected = [0.5 * v * (1 + math.tanh(s * (v + 0.044715 * v**3))) for v in x.ravel().tolist()]
    expect_close(impl.gelu(x), np.array(expected).reshape(x.shape), "gelu(x)")


@claim("L2.3", "gelu(x) - gelu(-x) = x, and far out it is x or 0", floats(4))
def halves(impl, x):
    expect_close(impl.gelu(x) - impl.gelu(-x), x, "the difference")
    expect_close(impl.gelu(np.array([20.0, -20.0])), np.array([20.0, 0.0]), "far out")


@claim("L2.3", "its gradient is that of its values", floats(3))
def gelu_gradient(impl, x):
    impl.gelu(x)
    expect_gradient(impl.gelu, (x,), wrt=(0,))


# --------------------------------------------------------------------------------------------------------- layer norm


@composite
def normalised(draw):
    """g, x (T, D) in general position, and ε."""
    T, D = draw(integers(1, 3)), draw(integers(2, 5))
    rng = np.random.default_rng(draw(integers(0, 2**32 - 1)))
    epsilon = draw(st.sampled_from([0.5, 0.01, 1e-5]))
    return rng.standard_normal((T, D)) + draw(integers(0, 1)), 2 * rng.standard_normal((T, D)) + 1, epsilon


def layer_norm(x, epsilon):
    """The plain formula, on NumPy arrays."""
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)


@claim("L2.4", "it is the slope of ⟨g, layer norm⟩ when x moves", normalised(), st.integers(0, 999))
def slope_of_layer_norm(impl, case, seed):
    (g, x, epsilon), h = case, 1e-3
    v = np.random.default_rng(seed).standard_normal(x.shape)
    v *= np.sqrt(x.var(-1, keepdims=True))  # a step that is small for each row
    f = lambda t: float((g * layer_norm(x + t * v, epsilon)).sum())  # noqa: E731
    slope = (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)
    expect_close(float((impl.layer_norm_backward(g, x, epsilon) * v).sum()), slope, "the slope", 1e-6)


@claim("L2.4", "a row sums to 0: moving all of x together changes nothing", normalised())
def no_common_part(impl, g, x, epsilon):
    found = impl.layer_norm_backward(g, x, epsilon)
    scale = 1 + np.abs(found).max()
    expect_close(found.sum(-1) / scale, np.zeros(len(x)), "the sum of a row, relative")
    expect_close(impl.layer_norm_backward(g, x + 3.0, epsilon), found, "with 3 added to x", 1e-7)
    expect_close(impl.layer_norm_backward(g + 3.0, x, epsilon), found, "with 3 added to g", 1e-7)


@claim("L2.4", "with ε = 0 it is at right angles to x - μ: making x longer changes nothing", normalised())
def no_radial_part(impl, g, x, epsilon):
    found = impl.layer_norm_backward(g, x, 0.0)
    y = layer_norm(x, 0.0)
    expect_close((found * y).sum(-1) / (1 + np.abs(found).max()), np.zeros(len(x)), "the part along x - μ, relative")
    expect_close(impl.layer_norm_backward(g, 4 * x, 0.0), found / 4, "for x four times as long", 1e-7)


@claim("L2.4", "it can itself be differentiated", normalised())
def layer_norm_second_order(impl, g, x, epsilon):
    impl.layer_norm_backward(g, x, 0.5 + epsilon)
    expect_gradient(impl.layer_norm_backward, (g, x, 0.5 + epsilon), wrt=(0, 1))


# ------------------------------------------------------------------------------------------------ residual, beginning


@claim("L2.5", "a block x + MLP(x) whose last weights are 0 is the identity, and so is its Jacobian",
       integers(1, 4), integers(0, 99))  # fmt: skip
def identity(D, seed):
    rng = np.random.default_rng(seed)
    mlp = nn.MLP(D, 3 * D, rng, out_std=0.0).astype(np.float64)
    x = ml.Tensor(rng.standard_normal(D), requires_grad=True)
    y = x + mlp(x)
    expect_close(y.numpy(), x.numpy(), "the block's output")
    expect_close(ml.jacobian(y, x).numpy(), np.eye(D), "its Jacobian")


@claim("L2.5", "a linear layer of n inputs multiplies the size of what comes in by its std times √n",
       st.sampled_from([64, 256]), st.sampled_from([0.02, 0.1]), integers(0, 9))  # fmt: skip
def size_of_the_output(n, std, seed):
    rng = np.random.default_rng(seed)
    y = nn.Linear(n, 500, rng, std=std)(rng.standard_normal((50, n)).astype(np.float32)).numpy()
    expect_close(float(y.std() / (std * math.sqrt(n))), 1.0, "the size of the output, relative", 0.06)


# ------------------------------------------------------------------------------------------------------------ dropout


@composite
def drops(draw):
    n = draw(integers(1, 4))
    return draw(floats(n)), draw(st.sampled_from([0.5, 0.25, 0.125, 0.75]))


@claim("L2.6", "the mean over all draws, each with its probability, is x", drops())
def expectation(impl, x, p):
    mean = np.zeros(len(x))
    for keep in itertools.product([True, False], repeat=len(x)):
        probability = math.prod((1 - p) if k else p for k in keep)
        mean = mean + probability * impl.dropout(x, np.array(keep), p, True)
    expect_close(mean, x, "the mean over all draws")


@claim("L2.6", "what is dropped is 0, what is kept is x / (1 - p)", drops(), st.integers(0, 15))
def kept_and_dropped(impl, case, draw):
    x, p = case
    keep = np.array([bool(draw >> i & 1) for i in range(len(x))])
    x = x + np.where(x == 0, 0.5, 0.0)
    found = impl.dropout(x, keep, p, True)
    expect(found[~keep] == 0, "a dropped entry is 0")
    expect_close(found[keep] * (1 - p), x[keep], "a kept entry, times 1 - p")
    expect_close(impl.dropout(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[True, False], [False, True]]), 0.5, True),
                 np.array([[2.0, 0.0], [0.0, 8.0]]), "two rows, each with a draw of its own")  # fmt: skip


@claim("L2.6", "outside training it is x itself, whatever was drawn", drops(), booleans(4))
def off(impl, case, keep):
    x, p = case
    expect_close(impl.dropout(x, keep[: len(x)], p, False), x, "the output outside training")


@claim("L2.6", "its gradient is that of its values", drops(), booleans(4))
def dropout_gradient(impl, case, keep):
    x, p = case
    impl.dropout(x, keep[: len(x)], p, True)
    expect_gradient(impl.dropout, (x, keep[: len(x)], p, True), wrt=(0,))


# ------------------------------------------------------------------------------------------------------------- AdamW


@composite
def descents(draw):
    """p (n,), the gradients of k steps (k, n) without zeros, rate, decay."""
    n, k = draw(integers(1, 3)), draw(integers(1, 5))
    signs = np.where(draw(booleans(k, n)), 1.0, -1.0)
    gradients = signs * draw(floats(k, n, low=0.125, high=3))
    return draw(floats(n)), gradients, draw(st.sampled_from([0.125, 0.01])), draw(st.sampled_from([0.5, 0.0, 2.0]))


def descend(impl, p, gradients, rate, decay, beta1=0.75, beta2=0.875, epsilon=1e-8):
    """All steps, one after the other, from m = v = 0: the parameters after each, and the last m and v."""
    m, v, path = np.zeros(len(p)), np.zeros(len(p)), [p]
    for step, g in enumerate(gradients, 1):
        p, m, v = impl.adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay)
        path.append(p)
    return path, m, v


@claim("L2.7", "the first step has length rate in every entry, against the gradient's sign", descents())
def first_step(impl, p, gradients, rate, decay):
    path, _, _ = descend(impl, p, gradients[:1], rate, 0.0)
    expect_close(path[1], p - rate * np.sign(gradients[0]), "the parameters after the first step", 1e-6)


@claim("L2.7", "m̂ and v̂ are weighted means of all gradients so far and of their squares", descents())
def weighted_means(impl, p, gradients, rate, decay):
    beta1, beta2, epsilon, k = 0.75, 0.875, 0.5, len(gradients)
    path, m, v = descend(impl, p, gradients, rate, decay, beta1, beta2, epsilon)
    means = []
    for beta, series in ((beta1, gradients), (beta2, gradients**2)):
        weights = np.array([beta ** (k - 1 - i) for i in range(k)])
        means.append(weights @ series / weights.sum())
    expect_close(m / (1 - beta1**k), means[0], "m̂ after the last step")
    expect_close(v / (1 - beta2**k), means[1], "v̂ after the last step")
    moved = path[-2] * (1 - rate * decay) - rate * means[0] / (np.sqrt(means[1]) + epsilon)
    expect_close(path[-1], moved, "the parameters after the last step")


@claim("L2.7", "with a gradient of 0 parameters shrink by 1 - rate · decay, whatever came before", descents())
def pure_decay(impl, p, gradients, rate, decay):
    zero = np.zeros(len(p))
    found, _, _ = impl.adamw_step(p + 1.0, zero, zero, zero, 1, rate, 0.9, 0.999, 1e-8, decay)
    expect_close(found, (p + 1.0) * (1 - rate * decay), "the parameters without a gradient")
    big, _, _ = impl.adamw_step(p + 1.0, zero, zero, zero + 100.0, 5, rate, 0.9, 0.999, 1e-8, decay)
    expect_close(big, (p + 1.0) * (1 - rate * decay), "the same with a large v")


@claim("L2.7", "gradients of another scale take the same path", descents())
def scale_free(impl, p, gradients, rate, decay):
    path, _, _ = descend(impl, p, gradients, rate, decay, epsilon=1e-14)
    other, _, _ = descend(impl, p, 1000 * gradients, rate, decay, epsilon=1e-14)
    expect_close(other[-1], path[-1], "the parameters, with gradients a thousand times as large")


# ---------------------------------------------------------------------------------------------------------- the model


@composite
def contexts(draw):
    """ids (B, C) and the arrays of a small MLP language model."""
    B, C, D = draw(integers(1, 3)), draw(integers(1, 3)), draw(integers(1, 3))
    H, V = draw(integers(1, 4)), draw(integers(2, 4))
    rng = np.random.default_rng(draw(integers(0, 2**32 - 1)))
    return (draw(ids(B, C, vocabulary=V)), rng.standard_normal((V, D)), rng.standard_normal((C * D, H)),
            rng.standard_normal(H), rng.standard_normal((H, V)), rng.standard_normal(V))  # fmt: skip


@claim("L2.8", "each logit is what a loop over contexts, hidden units and embeddings gives", contexts())
def logits_by_loops(impl, ids, table, W1, b1, W2, b2):
    s, (B, C), D = math.sqrt(2 / math.pi), ids.shape, table.shape[1]
    expected = np.zeros((B, W2.shape[1]))
    for i in range(B):
        for h in range(W1.shape[1]):
            a = b1[h] + math.fsum(table[ids[i, c], d] * W1[c * D + d, h] for c in range(C) for d in range(D))
            expected[i] += 0.5 * a * (1 + math.tanh(s * (a + 0.044715 * a**3))) * W2[h]
    expect_close(impl.mlp_logits(ids, table, W1, b1, W2, b2), expected + b2, "the logits", 1e-8)


@claim("L2.8", "a context in another order is another context, unless W1's blocks move along", contexts(),
       permutations(3))  # fmt: skip
def places_count(impl, case, order):
    ids, table, W1, b1, W2, b2 = case
    C, D = ids.shape[1], table.shape[1]
    order = order[order < C]
    moved = W1.reshape(C, D, -1)[order].reshape(C * D, -1)
    found = impl.mlp_logits(ids, table, W1, b1, W2, b2)
    expect_close(impl.mlp_logits(ids[:, order], table, moved, b1, W2, b2), found, "with the blocks moved along", 1e-8)


@claim("L2.8", "rows do not see each other", contexts())
def rows_apart(impl, ids, table, W1, b1, W2, b2):
    found = impl.mlp_logits(ids, table, W1, b1, W2, b2)
    for i in range(len(ids)):
        expect_close(impl.mlp_logits(ids[i : i + 1], table, W1, b1, W2, b2)[0], found[i], "a row by itself", 1e-9)


@claim("L2.8", "its gradient by the table and all weights is that of its values", contexts())
def model_gradient(impl, *case):
    impl.mlp_logits(*case)
    expect_gradient(impl.mlp_logits, case, wrt=(1, 2, 3, 4, 5))


@claim("L2.9", "a trained MLP over 8 characters predicts unseen text better than counts of pairs do")
def beats_pairs():
    train, valid, V = characters(300_000)
    rng, C = np.random.default_rng(0), 8
    E, up, down = nn.Embedding(V, 12, rng, std=0.3), nn.Linear(C * 12, 96, rng, std=0.1), nn.Linear(96, V, rng)
    layers = {"E": E, "up": up, "down": down}
    named = {f"{k}.{name}": p for k, layer in layers.items() for name, p in layer.named_parameters()}
    optimizer = ml.optim.AdamW(named, rate=5e-3)

    def loss(tokens, at):
        context = tokens[at[:, None] + np.arange(C)]
        return F.cross_entropy(down(F.gelu(up(E(context).reshape(len(at), -1)))), tokens[at + C])

    for step in range(600):
        optimizer.zero_grad()
        loss(train, rng.integers(0, len(train) - C, 256)).backward()
        optimizer.step(rate=5e-3 * (1 - step / 600) + 1e-4)
    model = loss(valid, np.arange(0, len(valid) - C, 3)).item()
    pairs = np.full((V, V), 0.05)
    np.add.at(pairs, (train[:-1], train[1:]), 1)
    counted = -np.log(pairs / pairs.sum(1, keepdims=True))[valid[C - 1 : -1 : 3], valid[C::3]].mean()
    expect(model < counted - 0.1, "the loss on unseen text, nats per character", expected=counted, got=model)


def characters(size):
    """Training and validation ids of the built-in corpus, as characters, and how many kinds there are."""
    train, valid = ml.text.load_corpus("pydocs").split(0.1)
    train, valid = "\n\n".join(train)[:size], "\n\n".join(valid)[:30_000]
    tokenizer = ml.text.CharTokenizer.train(train, unknown=True)
    return np.array(tokenizer.encode(train)), np.array(tokenizer.encode(valid)), tokenizer.vocab_size
