"""What students write instead."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import mutant

# ------------------------------------------------------------------------------------------------------ L2.1 embedding


@mutant(
    "L2.1",
    misconception="fancy_addition",
    hint="gradient[ids] += g reads all rows first and then writes them. What if an id is there twice?",
)
def embedding_gradient(ids, g, vocabulary):
    gradient = np.zeros((vocabulary, g.shape[1]))
    gradient[ids] += g
    return gradient


@mutant(
    "L2.1",
    misconception="last_one_wins",
    hint="A token that occurs twice in a text: which of its two cotangents do you keep?",
)
def embedding_gradient(ids, g, vocabulary):
    gradient = np.zeros((vocabulary, g.shape[1]))
    for i, row in zip(ids, g, strict=True):
        gradient[i] = row
    return gradient


@mutant(
    "L2.1",
    misconception="mean_over_lookups",
    hint="A row that was looked up three times moved the loss three times. Is that a sum or a mean?",
)
def embedding_gradient(ids, g, vocabulary):
    return np.stack([g[ids == v].mean(0) if (ids == v).any() else 0 * g[0] for v in range(vocabulary)])


@mutant(
    "L2.1", misconception="looked_up_again", hint="g[ids] picks rows of g. Which array do the ids count the rows of?"
)
def embedding_gradient(ids, g, vocabulary):
    gradient = np.zeros((vocabulary, g.shape[1]))
    np.add.at(gradient, ids, g[ids])
    return gradient


@mutant(
    "L2.1",
    misconception="gradient_by_place",
    hint="Row t of g belongs to place t of the text. To which row of the table does it belong?",
)
def embedding_gradient(ids, g, vocabulary):
    gradient = np.zeros((max(vocabulary, len(g)), g.shape[1]))
    gradient[: len(g)] = g
    return gradient[:vocabulary]


@mutant(
    "L2.1", misconception="ids_only", hint="You count how often each row was looked up. What did each lookup receive?"
)
def embedding_gradient(ids, g, vocabulary):
    counts = np.bincount(ids, minlength=vocabulary).astype(float)
    return counts[:, None] * np.ones((1, g.shape[1]))


@mutant(
    "L2.1", misconception="rows_that_occur", hint="The gradient has the shape of the table. How many rows has yours?"
)
def embedding_gradient(ids, g, vocabulary):
    return np.stack([g[ids == v].sum(0) for v in np.unique(ids)])


@mutant("L2.1", misconception="id_zero_is_special", hint="You leave row 0 out. Who said that token 0 is padding?")
def embedding_gradient(ids, g, vocabulary):
    gradient = np.zeros((vocabulary, g.shape[1]))
    np.add.at(gradient, ids, g)
    gradient[0] = 0
    return gradient


@mutant(
    "L2.1",
    misconception="divided_by_length",
    hint="Where does your division come from? Has g not been through the mean of the loss already?",
)
def embedding_gradient(ids, g, vocabulary):
    gradient = np.zeros((vocabulary, g.shape[1]))
    np.add.at(gradient, ids, g / len(g))
    return gradient


# -------------------------------------------------------------------------------------------------- L2.2 cross-entropy


def parts(logits, targets):
    """p, y and the loss, all right."""
    z = logits.numpy()
    shifted = z - z.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    y = np.eye(z.shape[1])[targets]
    return np.exp(log_p), y, float(-(y * log_p).sum() / len(z))


@mutant(
    "L2.2",
    misconception="no_shift",
    hint="What is exp(1000) in floating point, and what changes if every logit of a row is made smaller by the same?",
)
def cross_entropy(logits, targets):
    e = F.exp(logits)
    p = e / F.sum(e, -1, True)
    y, T = np.eye(logits.shape[1])[targets], len(targets)
    return -F.sum(y * F.log(p)) / T, (p - y) / T


@mutant(
    "L2.2",
    misconception="logarithm_of_a_softmax",
    hint="A probability of 1e-400 is 0 in floating point. What is its logarithm, and could it have been had otherwise?",
)
def cross_entropy(logits, targets):
    p, y, _ = parts(logits, targets)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.mean(-np.log(p[np.arange(len(p)), targets]))), (p - y) / len(p)


@mutant(
    "L2.2",
    misconception="clipped_logarithm",
    hint="A small number added inside the logarithm keeps it finite. Which losses does it make wrong?",
)
def cross_entropy(logits, targets):
    p, y, _ = parts(logits, targets)
    return float(np.mean(-np.log(p[np.arange(len(p)), targets] + 1e-6))), (p - y) / len(p)


@mutant(
    "L2.2",
    misconception="one_maximum_for_all",
    hint="You shift all rows by one number. What is left of a row that lies 2000 below it?",
)
def cross_entropy(logits, targets):
    e = F.exp(logits - F.max(logits))
    p = e / F.sum(e, -1, True)
    y, T = np.eye(logits.shape[1])[targets], len(targets)
    return -F.sum(y * F.log(p)) / T, (p - y) / T


@mutant("L2.2", misconception="softmax_twice", hint="The loss takes logits. What do you hand to it?")
def cross_entropy(logits, targets):
    p, y, loss = parts(F.softmax(logits), targets)
    return loss, (p - y) / len(p)


@mutant(
    "L2.2",
    misconception="gradient_of_the_sum",
    hint="The loss is a mean over T rows. Where is the 1/T in the gradient?",
)
def cross_entropy(logits, targets):
    p, y, loss = parts(logits, targets)
    return loss, p - y


@mutant(
    "L2.2",
    misconception="y_minus_p",
    hint="When the logit of the right token grows, does the loss grow? Which sign has its gradient?",
)
def cross_entropy(logits, targets):
    p, y, loss = parts(logits, targets)
    return loss, (y - p) / len(p)


@mutant("L2.2", misconception="p_alone", hint="Does the gradient know which token was right?")
def cross_entropy(logits, targets):
    p, _, loss = parts(logits, targets)
    return loss, p / len(p)


@mutant(
    "L2.2",
    misconception="right_token_only",
    hint="The other logits stand in the normaliser. Do they not move the loss?",
)
def cross_entropy(logits, targets):
    p, y, loss = parts(logits, targets)
    return loss, y * (p - 1) / len(p)


@mutant(
    "L2.2", misconception="gradient_by_the_probability", hint="-y/p is the gradient by p. By what was it asked for?"
)
def cross_entropy(logits, targets):
    p, y, loss = parts(logits, targets)
    return loss, -y / np.maximum(p, 1e-300) / len(p)


@mutant("L2.2", misconception="bits_for_nats", hint="Which logarithm undoes exp?")
def cross_entropy(logits, targets):
    p, y, loss = parts(logits, targets)
    return loss / math.log(2), (p - y) / len(p) / math.log(2)


@mutant(
    "L2.2",
    misconception="mean_over_all_entries",
    hint="The loss is a mean over rows. Over how many numbers did you take it?",
)
def cross_entropy(logits, targets):
    p, y, loss = parts(logits, targets)
    return loss / p.shape[1], (p - y) / p.size


@mutant("L2.2", misconception="softmax_over_rows", hint="Which axis of (T, V) holds the alternatives?")
def cross_entropy(logits, targets):
    p = F.softmax(logits, 0)
    y, T = np.eye(logits.shape[1])[targets], len(targets)
    return -F.sum(y * F.log(p)) / T, (p - y) / T


# ----------------------------------------------------------------------------------------------------------- L2.3 GELU


@mutant(
    "L2.3",
    misconception="exact_for_tanh",
    hint="That is x Φ(x) itself. Which of the two forms was asked for, and how far are they apart at x = 2?",
)
def gelu(x):
    return 0.5 * x * (1 + F.erf(x / math.sqrt(2)))


@mutant("L2.3", misconception="relu_for_gelu", hint="What is your function slightly left of 0, and what should it be?")
def gelu(x):
    return F.maximum(x, 0)


@mutant("L2.3", misconception="sigmoid_form", hint="x σ(1.702 x) is another approximation. Which was asked for?")
def gelu(x):
    return x * F.sigmoid(1.702 * x)


@mutant(
    "L2.3",
    misconception="silu_for_gelu",
    hint="x σ(x) is another function of the same shape. Which of them is 0.8412 at 1?",
)
def gelu(x):
    return x * F.sigmoid(x)


@mutant("L2.3", misconception="square_for_cube", hint="gelu(x) - gelu(-x) should be x. Is what you put into tanh odd?")
def gelu(x):
    return 0.5 * x * (1 + F.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x)))


@mutant(
    "L2.3",
    misconception="constant_misplaced",
    hint="Does the factor √(2/π) stand before the whole bracket or before x alone?",
)
def gelu(x):
    return 0.5 * x * (1 + F.tanh(math.sqrt(2 / math.pi) * x + 0.044715 * x * x * x))


@mutant("L2.3", misconception="root_upside_down", hint="√(2/π) is below 1. What is yours?")
def gelu(x):
    return 0.5 * x * (1 + F.tanh(math.sqrt(math.pi / 2) * (x + 0.044715 * x * x * x)))


@mutant(
    "L2.3",
    misconception="constant_mistyped",
    hint="Compare the digits of your constant with those of the formula: how many zeros?",
)
def gelu(x):
    return 0.5 * x * (1 + F.tanh(math.sqrt(2 / math.pi) * (x + 0.44715 * x * x * x)))


@mutant("L2.3", misconception="half_forgotten", hint="For large x the bracket is 2. What must the function be there?")
def gelu(x):
    return x * (1 + F.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


@mutant("L2.3", misconception="gate_without_x", hint="You return how much passes. How much of what?")
def gelu(x):
    return 0.5 * (1 + F.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


@mutant(
    "L2.3",
    misconception="left_the_graph",
    hint="math and NumPy functions give numbers that remember nothing. Where does the gradient come from?",
)
def gelu(x):
    gate = 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x.numpy() + 0.044715 * x.numpy() ** 3)))
    return x * gate


# ----------------------------------------------------------------------------------------------------- L2.4 layer norm


def normalise(x, epsilon):
    """(y, r): the normalised rows, and what they were divided by."""
    centred = x - F.mean(x, -1, True)
    r = F.sqrt(F.mean(centred * centred, -1, True) + epsilon)
    return centred / r, r


@mutant("L2.4", misconception="no_mean_terms", hint="You took μ and σ for constants. Do they not move when x moves?")
def layer_norm_backward(g, x, epsilon):
    return g / normalise(x, epsilon)[1]


@mutant(
    "L2.4",
    misconception="mean_is_a_constant",
    hint="Add the same to all of x: y does not change. Does your gradient sum to 0?",
)
def layer_norm_backward(g, x, epsilon):
    y, r = normalise(x, epsilon)
    return (g - y * F.mean(g * y, -1, True)) / r


@mutant(
    "L2.4",
    misconception="variance_is_a_constant",
    hint="Make x twice as long: y does not change. Is your gradient at right angles to y?",
)
def layer_norm_backward(g, x, epsilon):
    _, r = normalise(x, epsilon)
    return (g - F.mean(g, -1, True)) / r


@mutant("L2.4", misconception="x_for_y", hint="mean(g ⊙ y): is y what came in or what went out?")
def layer_norm_backward(g, x, epsilon):
    y, r = normalise(x, epsilon)
    return (g - F.mean(g, -1, True) - y * F.mean(g * x, -1, True)) / r


@mutant(
    "L2.4",
    misconception="sums_for_means",
    hint="μ is a mean of D numbers, so each of them moves it by 1/D. Where is the 1/D?",
)
def layer_norm_backward(g, x, epsilon):
    y, r = normalise(x, epsilon)
    return (g - F.sum(g, -1, True) - y * F.sum(g * y, -1, True)) / r


@mutant(
    "L2.4",
    misconception="not_divided",
    hint="If x is four times as long, by how much does y move when x moves by 1? What does that say of the gradient?",
)
def layer_norm_backward(g, x, epsilon):
    y, _ = normalise(x, epsilon)
    return g - F.mean(g, -1, True) - y * F.mean(g * y, -1, True)


@mutant("L2.4", misconception="divided_by_the_variance", hint="Is r the variance or its root?")
def layer_norm_backward(g, x, epsilon):
    y, r = normalise(x, epsilon)
    return (g - F.mean(g, -1, True) - y * F.mean(g * y, -1, True)) / (r * r)


@mutant("L2.4", misconception="epsilon_outside", hint="Is ε added to the variance or to its root?")
def layer_norm_backward(g, x, epsilon):
    centred = x - F.mean(x, -1, True)
    r = F.sqrt(F.mean(centred * centred, -1, True)) + epsilon
    y = centred / r
    return (g - F.mean(g, -1, True) - y * F.mean(g * y, -1, True)) / r


@mutant("L2.4", misconception="unbiased_variance", hint="This variance is divided by D. By what did you divide?")
def layer_norm_backward(g, x, epsilon):
    centred, D = x - F.mean(x, -1, True), x.shape[-1]
    r = F.sqrt(F.sum(centred * centred, -1, True) / (D - 1) + epsilon)
    y = centred / r
    return (g - F.mean(g, -1, True) - y * F.sum(g * y, -1, True) / (D - 1)) / r


@mutant(
    "L2.4",
    misconception="over_the_other_axis",
    hint="Each row is normalised by itself. Over which axis do you take your means?",
)
def layer_norm_backward(g, x, epsilon):
    y, r = normalise(x, epsilon)
    return (g - F.mean(g, 0, True) - y * F.mean(g * y, 0, True)) / r


@mutant(
    "L2.4", misconception="second_term_unprojected", hint="mean(g ⊙ y) is one number a row. What is it multiplied by?"
)
def layer_norm_backward(g, x, epsilon):
    y, r = normalise(x, epsilon)
    return (g - F.mean(g, -1, True) - F.mean(g * y, -1, True)) / r


@mutant(
    "L2.4", misconception="plus_for_minus", hint="The gradient may not point along y. Does adding a part along y help?"
)
def layer_norm_backward(g, x, epsilon):
    y, r = normalise(x, epsilon)
    return (g - F.mean(g, -1, True) + y * F.mean(g * y, -1, True)) / r


# -------------------------------------------------------------------------------------------------------- L2.6 dropout


@mutant(
    "L2.6",
    misconception="not_rescaled",
    hint="Half of the entries are gone. By how much is their sum too small, compared with evaluation?",
)
def dropout(x, keep, p, training):
    return x * keep if training else x


@mutant(
    "L2.6",
    misconception="scaled_at_evaluation",
    hint="If evaluation multiplies by 1 - p, what must training not do? Which of the two was asked for?",
)
def dropout(x, keep, p, training):
    return x * keep if training else x * (1 - p)


@mutant("L2.6", misconception="divided_by_p", hint="p is the probability to be dropped. Which share is kept?")
def dropout(x, keep, p, training):
    return x * keep / p if training else x


@mutant(
    "L2.6",
    misconception="multiplied_by_the_share",
    hint="Entries are missing. Must the others become larger or smaller to make up for them?",
)
def dropout(x, keep, p, training):
    return x * keep * (1 - p) if training else x


@mutant("L2.6", misconception="keep_is_drop", hint="keep is False with probability p. Which entries do you set to 0?")
def dropout(x, keep, p, training):
    return x * ~keep / (1 - p) if training else x


@mutant(
    "L2.6",
    misconception="dropping_at_evaluation",
    hint="Two evaluations of the same input differ. What did you not look at?",
)
def dropout(x, keep, p, training):
    return x * keep / (1 - p)


@mutant(
    "L2.6",
    misconception="training_inverted",
    hint="When is something dropped: when training is True or when it is False?",
)
def dropout(x, keep, p, training):
    return x if training else x * keep / (1 - p)


@mutant(
    "L2.6",
    misconception="scaled_by_the_draw",
    hint="You divide by the share that this draw happened to keep. What is the mean over all draws, the empty one too?",
)
def dropout(x, keep, p, training):
    return x * keep / max(keep.mean(), 1e-9) if training else x


@mutant("L2.6", misconception="dropped_are_means", hint="What stands where something was dropped?")
def dropout(x, keep, p, training):
    return F.where(keep, x / (1 - p), F.mean(x)) if training else x


@mutant("L2.6", misconception="one_draw_for_all_rows", hint="Each row has a draw of its own. Which do you use?")
def dropout(x, keep, p, training):
    return x * (keep[0] if keep.ndim > 1 else keep) / (1 - p) if training else x


# ---------------------------------------------------------------------------------------------------------- L2.7 AdamW


def moments(g, m, v, beta1, beta2):
    return beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g


@mutant(
    "L2.7",
    misconception="no_bias_correction",
    hint="m starts at 0. After one step it is (1 - β₁) g. How long is that first step, and how long should it be?",
)
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = moments(g, m, v, beta1, beta2)
    return p * (1 - rate * decay) - rate * m / (np.sqrt(v) + epsilon), m, v


@mutant(
    "L2.7",
    misconception="decay_in_the_gradient",
    hint="A decay that is added to the gradient is divided by √v̂ as well. With g = 0, how far does p move then?",
)
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = moments(g + decay * p, m, v, beta1, beta2)
    return p - rate * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon), m, v


@mutant(
    "L2.7", misconception="decay_without_the_rate", hint="With a rate of 0, do your parameters stay where they are?"
)
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = moments(g, m, v, beta1, beta2)
    return p * (1 - decay) - rate * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon), m, v


@mutant(
    "L2.7",
    misconception="decay_grows",
    hint="Without a gradient, should a parameter come nearer to 0 or go away from it?",
)
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = moments(g, m, v, beta1, beta2)
    move = (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
    return p * (1 + rate * decay) - rate * move, m, v


@mutant("L2.7", misconception="no_decay", hint="What does the argument decay do in your function?")
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = moments(g, m, v, beta1, beta2)
    return p - rate * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon), m, v


@mutant(
    "L2.7",
    misconception="no_root",
    hint="Gradients a thousand times as large should give the same step. What does dividing by v̂ give?",
)
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = moments(g, m, v, beta1, beta2)
    return p * (1 - rate * decay) - rate * (m / (1 - beta1**step)) / (v / (1 - beta2**step) + epsilon), m, v


@mutant("L2.7", misconception="epsilon_under_the_root", hint="Is ε added to √v̂ or to v̂?")
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = moments(g, m, v, beta1, beta2)
    return p * (1 - rate * decay) - rate * (m / (1 - beta1**step)) / np.sqrt(v / (1 - beta2**step) + epsilon), m, v


@mutant("L2.7", misconception="betas_swapped", hint="Which of the two means is the slower one?")
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = moments(g, m, v, beta2, beta1)
    move = (m / (1 - beta2**step)) / (np.sqrt(v / (1 - beta1**step)) + epsilon)
    return p * (1 - rate * decay) - rate * move, m, v


@mutant(
    "L2.7",
    misconception="square_of_the_mean",
    hint="v is the mean of g², not the square of a mean. Which differs when the gradient changes its sign?",
)
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * m * m
    move = (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
    return p * (1 - rate * decay) - rate * move, m, v


@mutant(
    "L2.7",
    misconception="sums_for_running_means",
    hint="With weights β and 1 the total weight is not 1. Where is 1 - β?",
)
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = beta1 * m + g, beta2 * v + g * g
    move = (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
    return p * (1 - rate * decay) - rate * move, m, v


@mutant("L2.7", misconception="steps_from_zero", hint="The first step is number 1. What is 1 - β to the power 0?")
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v, t = *moments(g, m, v, beta1, beta2), step + 1
    move = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    return p * (1 - rate * decay) - rate * move, m, v


@mutant("L2.7", misconception="uphill", hint="The gradient shows where the loss grows. Which way do you go?")
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = moments(g, m, v, beta1, beta2)
    move = (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
    return p * (1 - rate * decay) + rate * move, m, v


@mutant(
    "L2.7",
    misconception="corrected_means_are_kept",
    hint="You hand back m̂ instead of m. What does the next step do with it?",
)
def adamw_step(p, g, m, v, step, rate, beta1, beta2, epsilon, decay):
    m, v = moments(g, m, v, beta1, beta2)
    m, v = m / (1 - beta1**step), v / (1 - beta2**step)
    return p * (1 - rate * decay) - rate * m / (np.sqrt(v) + epsilon), m, v


# ------------------------------------------------------------------------------------------------------ L2.8 the model


def forward(x, W1, b1, W2, b2):
    return F.matmul(F.gelu(F.matmul(x, W1) + b1), W2) + b2


@mutant("L2.8", misconception="sum_of_embeddings", hint="If the rows are added up, can the model tell ab from ba?")
def mlp_logits(ids, table, W1, b1, W2, b2):
    total = F.sum(table[ids], 1)
    return forward(F.concatenate([total] * ids.shape[1], 1), W1, b1, W2, b2)


@mutant(
    "L2.8",
    misconception="transposed_context",
    hint="Which numbers lie side by side in your vector: one token's, or one coordinate of all tokens?",
)
def mlp_logits(ids, table, W1, b1, W2, b2):
    x = F.swapaxes(table[ids], 1, 2).reshape(ids.shape[0], -1)
    return forward(x, W1, b1, W2, b2)


@mutant(
    "L2.8", misconception="context_reversed", hint="The first token's row stands first. Which stands first in yours?"
)
def mlp_logits(ids, table, W1, b1, W2, b2):
    return forward(table[ids[:, ::-1].copy()].reshape(ids.shape[0], -1), W1, b1, W2, b2)


@mutant(
    "L2.8",
    misconception="rows_mixed",
    hint="Does a reshape of (B, C, D) to your shape keep each context in its own row?",
)
def mlp_logits(ids, table, W1, b1, W2, b2):
    B, C = ids.shape
    return forward(table[ids.T.copy().reshape(B, C)].reshape(B, -1), W1, b1, W2, b2)


@mutant(
    "L2.8",
    misconception="no_activation",
    hint="Two linear layers, one after the other: what can they do that one cannot?",
)
def mlp_logits(ids, table, W1, b1, W2, b2):
    return F.matmul(F.matmul(table[ids].reshape(ids.shape[0], -1), W1) + b1, W2) + b2


@mutant("L2.8", misconception="relu_in_the_model", hint="Which activation was asked for?")
def mlp_logits(ids, table, W1, b1, W2, b2):
    x = table[ids].reshape(ids.shape[0], -1)
    return F.matmul(F.maximum(F.matmul(x, W1) + b1, 0), W2) + b2


@mutant("L2.8", misconception="activated_output", hint="Can a logit of yours be very negative?")
def mlp_logits(ids, table, W1, b1, W2, b2):
    return F.gelu(forward(table[ids].reshape(ids.shape[0], -1), W1, b1, W2, b2))


@mutant(
    "L2.8", misconception="probabilities_for_logits", hint="Logits were asked for; who takes the softmax, and when?"
)
def mlp_logits(ids, table, W1, b1, W2, b2):
    return F.softmax(forward(table[ids].reshape(ids.shape[0], -1), W1, b1, W2, b2))


@mutant("L2.8", misconception="hidden_bias_forgotten", hint="Which of the five arrays does your function not use?")
def mlp_logits(ids, table, W1, b1, W2, b2):
    return forward(table[ids].reshape(ids.shape[0], -1), W1, 0 * b1, W2, b2)


@mutant(
    "L2.8",
    misconception="output_bias_forgotten",
    hint="The frequency of a token, whatever the context, is learned by one of the arrays. Which?",
)
def mlp_logits(ids, table, W1, b1, W2, b2):
    return forward(table[ids].reshape(ids.shape[0], -1), W1, b1, W2, 0 * b2)


@mutant("L2.8", misconception="last_token_only", hint="How many tokens of the context reach your output?")
def mlp_logits(ids, table, W1, b1, W2, b2):
    D = table.shape[1]
    return F.matmul(F.gelu(F.matmul(table[ids[:, -1]], W1[-D:])), W2) + b2


@mutant(
    "L2.8",
    misconception="bias_inside_the_activation_twice",
    hint="Where is b1 added: before the activation, after it, or both?",
)
def mlp_logits(ids, table, W1, b1, W2, b2):
    x = table[ids].reshape(ids.shape[0], -1)
    return F.matmul(F.gelu(F.matmul(x, W1)) + b1, W2) + b2
