"""What students write instead, and the question that leads on."""

import math

import numpy as np

import minilm.functional as F
from minilm.course import mutant

from .tasks import attend_with_cache as attend_right
from .tasks import block as block_right
from .tasks import count_parameters as count_right
from .tasks import embed as embed_right
from .tasks import generation_flops as flops_right
from .tasks import initialise as initialise_right
from .tasks import next_distribution as next_right

# ----------------------------------------------------------------------------------------------------------------- L4.1


@mutant("L4.1", misconception="positions_restart",
        hint="The cache holds three tokens and you read a fourth. Which position is it at: 0, or 3?")  # fmt: skip
def embed(ids, token_table, position_table, past):
    return token_table[ids] + position_table[: len(ids)]


@mutant("L4.1", misconception="no_positions",
        hint="Exchange two tokens: does a block that reads these vectors notice?")  # fmt: skip
def embed(ids, token_table, position_table, past):
    return token_table[ids] + 0.0 * position_table[: len(ids)]


@mutant("L4.1", misconception="positions_from_one",
        hint="The first token of a text stands at position 0. Which row do you give it?")  # fmt: skip
def embed(ids, token_table, position_table, past):
    at = (np.arange(len(ids)) + past + 1) % position_table.shape[0]
    return token_table[ids] + position_table[at]


@mutant("L4.1", misconception="position_is_the_id",
        hint="The same token twice in a text gets the same vector from you. What should tell the two "
             "apart?")  # fmt: skip
def embed(ids, token_table, position_table, past):
    return token_table[ids] + position_table[ids % position_table.shape[0]]


@mutant("L4.1", misconception="one_position_for_all",
        hint="You add one row to all tokens. Which token stands at which position?")  # fmt: skip
def embed(ids, token_table, position_table, past):
    return token_table[ids] + position_table[past + len(ids) - 1]


@mutant("L4.1", misconception="embedding_is_scaled",
        hint="Multiplying by √D is the first Transformer's habit. Does the text of this task ask for it?")  # fmt: skip
def embed(ids, token_table, position_table, past):
    return token_table[ids] * math.sqrt(token_table.shape[1]) + position_table[past : past + len(ids)]


@mutant("L4.1", misconception="positions_are_multiplied",
        hint="If a position's vector is 0, should the token disappear?")  # fmt: skip
def embed(ids, token_table, position_table, past):
    return token_table[ids] * position_table[past : past + len(ids)]


@mutant("L4.1", misconception="positions_from_the_end",
        hint="A longer text moves all the positions that you give. Can a GPT know yet how long it will "
             "be?")  # fmt: skip
def embed(ids, token_table, position_table, past):
    return token_table[ids] + position_table[past : past + len(ids)][::-1]


@mutant("L4.1", misconception="past_shifts_the_tokens",
        hint="`past` counts what was read before. Does it change which tokens are read now, or where they "
             "stand?")  # fmt: skip
def embed(ids, token_table, position_table, past):
    return token_table[np.roll(ids, past)] + position_table[past : past + len(ids)]


# ----------------------------------------------------------------------------------------------------------------- L4.2


def _parts(x, w, heads, causal=True, approximate="tanh"):
    """Attention, MLP, the two norms."""

    def linear(name, x):
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    def attend(x):
        qkv = linear("qkv", x).reshape(1, x.shape[0], -1)
        return linear("out", F.self_attention(qkv, heads, causal=causal)[0])

    def mlp(x):
        return linear("down", F.gelu(linear("up", x), approximate))

    def norm(name):
        return lambda x: F.layer_norm(x, w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)

    return attend, mlp, norm("norm1"), norm("norm2")


@mutant("L4.2", misconception="places_are_swapped",
        hint="“pre” means before what is added. Where does your norm stand then?")  # fmt: skip
def block(x, w, heads, norm):
    return block_right(x, w, heads, {"pre": "post", "post": "pre"}[norm])


@mutant("L4.2", misconception="always_pre_norm",
        hint="GPT-1 normalises the sum. Which of the two formulas have you written twice?")  # fmt: skip
def block(x, w, heads, norm):
    return block_right(x, w, heads, "pre")


@mutant("L4.2", misconception="no_residual",
        hint="If attention adds nothing, what should come out of a pre-norm block? What comes out of "
             "yours?")  # fmt: skip
def block(x, w, heads, norm):
    attend, mlp, n1, n2 = _parts(x, w, heads)
    return mlp(n2(attend(n1(x)))) if norm == "pre" else n2(mlp(n1(attend(x))))


@mutant("L4.2", misconception="residual_of_the_normed",
        hint="In pre-norm, what flows past is x itself. You add to N(x).")  # fmt: skip
def block(x, w, heads, norm):
    if norm == "post":
        return block_right(x, w, heads, norm)
    attend, mlp, n1, n2 = _parts(x, w, heads)
    h = n1(x) + attend(n1(x))
    return n2(h) + mlp(n2(h))


@mutant("L4.2", misconception="mlp_beside_attention",
        hint="Should the MLP see what attention has just read? In yours both read the same x.")  # fmt: skip
def block(x, w, heads, norm):
    attend, mlp, n1, n2 = _parts(x, w, heads)
    if norm == "pre":
        return x + attend(n1(x)) + mlp(n2(x))
    return n2(n1(x + attend(x)) + mlp(x))


@mutant("L4.2", misconception="no_causal_mask",
        hint="Change the last token: does your first row change?")  # fmt: skip
def block(x, w, heads, norm):
    attend, mlp, n1, n2 = _parts(x, w, heads, causal=False)
    if norm == "pre":
        x = x + attend(n1(x))
        return x + mlp(n2(x))
    x = n1(x + attend(x))
    return n2(x + mlp(x))


@mutant("L4.2", misconception="one_norm_for_both",
        hint="There are two norms, with weights of their own. Which one do you never use?")  # fmt: skip
def block(x, w, heads, norm):
    return block_right(x, w | {"norm2.weight": w["norm1.weight"], "norm2.bias": w["norm1.bias"]}, heads, norm)


@mutant("L4.2", misconception="mlp_before_attention",
        hint="Which of the two comes first in the formulas, A or M?")  # fmt: skip
def block(x, w, heads, norm):
    attend, mlp, n1, n2 = _parts(x, w, heads)
    if norm == "pre":
        x = x + mlp(n2(x))
        return x + attend(n1(x))
    x = n2(x + mlp(x))
    return n1(x + attend(x))


@mutant("L4.2", misconception="no_activation",
        hint="Two matrices in a row without anything between are one matrix. What stands between them?")  # fmt: skip
def block(x, w, heads, norm):
    attend, _, n1, n2 = _parts(x, w, heads)

    def mlp(x):
        return (x @ w["up.weight"] + w["up.bias"]) @ w["down.weight"] + w["down.bias"]

    if norm == "pre":
        x = x + attend(n1(x))
        return x + mlp(n2(x))
    x = n1(x + attend(x))
    return n2(x + mlp(x))


@mutant("L4.2", misconception="one_head",
        hint="Change `heads`: does anything change in your block?")  # fmt: skip
def block(x, w, heads, norm):
    return block_right(x, w, 1, norm)


@mutant("L4.2", misconception="no_output_projection",
        hint="What mixes the heads before their sum joins the stream? You left `out` aside.")  # fmt: skip
def block(x, w, heads, norm):
    eye = np.eye(x.shape[1])
    return block_right(x, w | {"out.weight": eye, "out.bias": 0.0 * eye[0]}, heads, norm)


@mutant("L4.2", misconception="gelu_of_the_other_form",
        hint="The difference is in the fourth digit: which form of GELU did the released code of GPT use?")  # fmt: skip
def block(x, w, heads, norm):
    attend, mlp, n1, n2 = _parts(x, w, heads, approximate="none")
    if norm == "pre":
        x = x + attend(n1(x))
        return x + mlp(n2(x))
    x = n1(x + attend(x))
    return n2(x + mlp(x))


@mutant("L4.2", misconception="norm_over_time",
        hint="A norm over the positions knows the last one while it works on the first. Over which axis should it "
             "run?")  # fmt: skip
def block(x, w, heads, norm):
    attend, mlp, _, _ = _parts(x, w, heads)

    def over_time(name):
        def apply(x):
            z = x - F.mean(x, 0, keepdims=True)
            z = z / F.sqrt(F.mean(z * z, 0, keepdims=True) + 1e-5)
            return z * w[f"{name}.weight"] + w[f"{name}.bias"]

        return apply

    n1, n2 = over_time("norm1"), over_time("norm2")
    if norm == "pre":
        x = x + attend(n1(x))
        return x + mlp(n2(x))
    x = n1(x + attend(x))
    return n2(x + mlp(x))


# ----------------------------------------------------------------------------------------------------------------- L4.3


def _gpt(ids, w, blocks, heads, norm, final=None):
    x = embed_right(ids, w["token_table"], w["position_table"], 0)
    for one in blocks:
        x = block_right(x, one, heads, norm)
    if final if final is not None else norm == "pre":
        x = F.layer_norm(x, w["final_norm.weight"], w["final_norm.bias"], 1e-5)
    return x


@mutant("L4.3", misconception="no_final_norm",
        hint="In a pre-norm GPT nothing has normalised the stream when it reaches the head. What does GPT-2 "
             "add?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    return _gpt(ids, w, blocks, heads, norm, final=False) @ w["token_table"].T


@mutant("L4.3", misconception="final_norm_everywhere",
        hint="A post-norm block ends with a norm. Does GPT-1 need another, and are there weights for it?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    x = _gpt(ids, w, blocks, heads, norm)
    return (F.layer_norm(x, None, None, 1e-5) if norm == "post" else x) @ w["token_table"].T


@mutant("L4.3", misconception="the_same_block_again",
        hint="Each block has weights of its own. Whose do your later layers use?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    return _gpt(ids, w, [blocks[0]] * len(blocks), heads, norm) @ w["token_table"].T


@mutant("L4.3", misconception="blocks_in_reverse",
        hint="Which block reads the embeddings: the first of the list, or the last?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    return _gpt(ids, w, blocks[::-1], heads, norm) @ w["token_table"].T


@mutant("L4.3", misconception="blocks_side_by_side",
        hint="Every block of yours reads the embeddings. Which block reads what another one wrote?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    x = embed_right(ids, w["token_table"], w["position_table"], 0)
    x = sum((block_right(x, one, heads, norm) - x for one in blocks), x)
    if norm == "pre":
        x = F.layer_norm(x, w["final_norm.weight"], w["final_norm.bias"], 1e-5)
    return x @ w["token_table"].T


@mutant("L4.3", misconception="softmax_in_the_model",
        hint="The task asks for logits. Which function has already been applied to yours?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    return F.softmax(_gpt(ids, w, blocks, heads, norm) @ w["token_table"].T)


@mutant("L4.3", misconception="only_the_last_position",
        hint="In training every position predicts its next token. How many rows should there be?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    x = _gpt(ids, w, blocks, heads, norm)
    return x[-1:] @ w["token_table"].T


@mutant("L4.3", misconception="head_is_scaled",
        hint="The scale 1/√D belongs to attention's scores. Is the head such a score?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    D = w["token_table"].shape[1]
    return _gpt(ids, w, blocks, heads, norm) @ w["token_table"].T / math.sqrt(D)


@mutant("L4.3", misconception="no_positions_in_the_model",
        hint="Which of the two tables of embeddings do you never read?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    return _gpt(ids, w | {"position_table": 0.0 * w["position_table"]}, blocks, heads, norm) @ w["token_table"].T


@mutant("L4.3", misconception="positions_in_the_head",
        hint="Which rows does the last hidden state meet: those of tokens, or those of positions too?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    x = _gpt(ids, w, blocks, heads, norm)
    return (x + w["position_table"][: len(ids)]) @ w["token_table"].T


@mutant("L4.3", misconception="head_is_not_tied",
        hint="Make the row of one token three times as long: how should its logit change?")  # fmt: skip
def gpt_logits(ids, w, blocks, heads, norm):
    own = np.random.default_rng(0).standard_normal(w["token_table"].shape) * 0.02
    return _gpt(ids, w, blocks, heads, norm) @ own.T


# ----------------------------------------------------------------------------------------------------------------- L4.4


@mutant("L4.4", misconception="biases_are_forgotten",
        hint="12 D² is what is left for large D. How many biases does a block have, and how many numbers its "
             "norms?")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, context, width, layers, norm, tied) - layers * 9 * width


@mutant("L4.4", misconception="norms_are_forgotten",
        hint="Does a layer norm learn anything? How many numbers, and how many norms are there in a "
             "block?")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, context, width, layers, norm, tied) - layers * 4 * width


@mutant("L4.4", misconception="head_is_counted_twice",
        hint="If the head is the token table, how many numbers does it add?")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, context, width, layers, norm, False)


@mutant("L4.4", misconception="head_is_never_counted",
        hint="What if the head is a matrix of its own?")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, context, width, layers, norm, True)


@mutant("L4.4", misconception="head_has_a_bias",
        hint="Who says that the head of its own has a bias?")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, context, width, layers, norm, tied) + (0 if tied else vocabulary)


@mutant("L4.4", misconception="final_norm_is_forgotten",
        hint="You are off by 2 D, and only in pre-norm. Which norm stands outside of all blocks?")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, context, width, layers, "post", tied)


@mutant("L4.4", misconception="final_norm_in_both",
        hint="Which of the two kinds ends with a norm outside of the blocks?")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, context, width, layers, "pre", tied)


@mutant("L4.4", misconception="positions_are_free",
        hint="Are the positions sines, or a table that is learned?")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, 0, width, layers, norm, tied)


@mutant("L4.4", misconception="projection_is_forgotten",
        hint="What does the matrix do that comes after the heads?")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, context, width, layers, norm, tied) - layers * (width**2 + width)


@mutant("L4.4", misconception="one_layer_is_counted",
        hint="How many blocks have weights of their own?")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, context, width, 1, norm, tied)


@mutant("L4.4", misconception="bias_of_the_input_side",
        hint="Has the bias of x W + b the length of x, or of the result? Count those of the MLP again.")  # fmt: skip
def count_parameters(vocabulary, context, width, layers, norm, tied):
    return count_right(vocabulary, context, width, layers, norm, tied) - layers * 2 * width


# ----------------------------------------------------------------------------------------------------------------- L4.5


def _begin(shapes, layers, seed, std, draw=None):
    """The right beginning but for the spreads: name -> σ."""
    found = initialise_right(shapes, layers, seed)
    rng = np.random.default_rng(seed)
    for name, a in found.items():
        if np.ndim(a) == 2:
            found[name] = std(name) * (draw or (lambda rng, shape: rng.standard_normal(shape)))(rng, a.shape)
    return found


def _std(name, layers):
    if name == "position_table":
        return 0.01
    return 0.02 / math.sqrt(2 * layers) if name.endswith(("out.weight", "down.weight")) else 0.02


@mutant("L4.5", misconception="residuals_are_not_scaled",
        hint="2L numbers of the same variance are added up along the stream. What is the variance of the "
             "sum?")  # fmt: skip
def initialise(shapes, layers, seed):
    return _begin(shapes, layers, seed, lambda name: 0.01 if name == "position_table" else 0.02)


@mutant("L4.5", misconception="scaled_by_layers_only",
        hint="How many times does one block write into the stream: once, or twice?")  # fmt: skip
def initialise(shapes, layers, seed):
    scale = {"block.out.weight": math.sqrt(2), "block.down.weight": math.sqrt(2)}
    return _begin(shapes, layers, seed, lambda name: _std(name, layers) * scale.get(name, 1))


@mutant("L4.5", misconception="scaled_by_the_number",
        hint="Variances add up. By which factor must a spread shrink so that 2L variances sum to one?")  # fmt: skip
def initialise(shapes, layers, seed):
    def std(name):
        return 0.02 / (2 * layers) if name.endswith(("out.weight", "down.weight")) else _std(name, layers)

    return _begin(shapes, layers, seed, std)


@mutant("L4.5", misconception="all_are_scaled",
        hint="Which matrices write into the stream, and which only read from it?")  # fmt: skip
def initialise(shapes, layers, seed):
    return _begin(shapes, layers, seed, lambda name: 0.02 / math.sqrt(2 * layers))


@mutant("L4.5", misconception="the_wrong_mlp_matrix",
        hint="Which matrix of the MLP writes into the stream: the one that goes up, or the one that comes "
             "down?")  # fmt: skip
def initialise(shapes, layers, seed):
    def std(name):
        other = name.replace("down.", "?").replace("up.", "down.").replace("?", "up.")
        return _std(other, layers)

    return _begin(shapes, layers, seed, std)


@mutant("L4.5", misconception="spread_is_variance",
        hint="The second parameter of N(0, σ²) is a variance. What does your generator take?")  # fmt: skip
def initialise(shapes, layers, seed):
    return _begin(shapes, layers, seed, lambda name: math.sqrt(_std(name, layers)))


@mutant("L4.5", misconception="positions_as_tokens",
        hint="Tokens begin with .02. And positions, in GPT-2?")  # fmt: skip
def initialise(shapes, layers, seed):
    return _begin(shapes, layers, seed, lambda name: 0.02 if name == "position_table" else _std(name, layers))


@mutant("L4.5", misconception="uniform_is_normal",
        hint="Your numbers have the right spread, but none lies beyond two of it. Which distribution is asked "
             "for?")  # fmt: skip
def initialise(shapes, layers, seed):
    def draw(rng, shape):
        return rng.uniform(-math.sqrt(3), math.sqrt(3), shape)

    return _begin(shapes, layers, seed, lambda name: _std(name, layers), draw)


@mutant("L4.5", misconception="the_same_draws_again",
        hint="A new generator from the same seed for each weight: which numbers does it give every time?")  # fmt: skip
def initialise(shapes, layers, seed):
    return _begin(shapes, layers, seed, lambda name: _std(name, layers),
                  lambda rng, shape: np.random.default_rng(seed).standard_normal(shape))  # fmt: skip


@mutant("L4.5", misconception="the_seed_is_ignored",
        hint="Two seeds, one result. What do you do with `seed`?")  # fmt: skip
def initialise(shapes, layers, seed):
    return initialise_right(shapes, layers, 0)


@mutant("L4.5", misconception="nobody_knows_the_seed",
        hint="Run it twice. Can anyone repeat your experiment?")  # fmt: skip
def initialise(shapes, layers, seed):
    return initialise_right(shapes, layers, None)


@mutant("L4.5", misconception="biases_are_drawn",
        hint="What should a layer give for an input of zeros when training begins?")  # fmt: skip
def initialise(shapes, layers, seed):
    rng, found = np.random.default_rng(seed + 1), initialise_right(shapes, layers, seed)
    return {k: 0.02 * rng.standard_normal(a.shape) if k.endswith("bias") else a for k, a in found.items()}


@mutant("L4.5", misconception="norms_are_drawn",
        hint="A norm that multiplies by .02 takes away what it has just given. With what should it begin?")  # fmt: skip
def initialise(shapes, layers, seed):
    rng, found = np.random.default_rng(seed + 1), initialise_right(shapes, layers, seed)
    return {k: 0.02 * rng.standard_normal(a.shape) if "norm" in k and a.all() else a for k, a in found.items()}


@mutant("L4.5", misconception="the_final_norm_is_a_weight",
        hint="One of the norms has a name that your rule does not know. How does it begin in yours?")  # fmt: skip
def initialise(shapes, layers, seed):
    rng, found = np.random.default_rng(seed + 1), initialise_right(shapes, layers, seed)
    return {k: 0.02 * rng.standard_normal(a.shape) if k == "final_norm.weight" else a for k, a in found.items()}


# ----------------------------------------------------------------------------------------------------------------- L4.6


def _choose(z, top_k, top_p, keep=None):
    """The right choice from scaled logits, but for the rule of top-p."""
    z = z - z.max()
    order = np.argsort(-z, kind="stable")[: top_k or len(z)]
    p = np.exp(z[order])
    p = p / p.sum()
    if top_p is not None:
        before = np.cumsum(p) - p
        stays = before < top_p if keep is None else keep(p, before, top_p)
        stays[0] = True
        p = np.where(stays, p, 0.0)
    found = np.zeros(len(z))
    found[order] = p / p.sum()
    return found


@mutant("L4.6", misconception="temperature_multiplies",
        hint="A high temperature should level the distribution. What does yours do at temperature 2?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    return _choose(logits * temperature, top_k, top_p)


@mutant("L4.6", misconception="temperature_on_probabilities",
        hint="Divide all probabilities by 2 and make them sum to 1 again: what has changed?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    return _choose(logits, top_k, top_p) / temperature / np.sum(_choose(logits, top_k, top_p) / temperature)


@mutant("L4.6", misconception="temperature_after_top_p",
        hint="At a high temperature more tokens are needed to reach p. In which order are the two "
             "applied?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    kept = _choose(logits, top_k, top_p) > 0
    e = np.where(kept, np.exp((logits - logits.max()) / temperature), 0.0)
    return e / e.sum()


@mutant("L4.6", misconception="top_k_one_too_many",
        hint="With top_k = 1 the most probable token should be certain. Is it?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    return _choose(logits / temperature, None if top_k is None else top_k + 1, top_p)


@mutant("L4.6", misconception="ties_all_stay",
        hint="Three tokens have the same logit and top_k is 2. How many does a threshold keep?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    if top_k is not None:
        border = np.sort(logits)[::-1][min(top_k, len(logits)) - 1]
        logits = np.where(logits < border, -np.inf, logits)
    return _choose(logits / temperature, None, top_p)


@mutant("L4.6", misconception="cut_without_renormalising",
        hint="What do your probabilities sum to after some were struck out?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    full = _choose(logits / temperature, None, None)
    return np.where(_choose(logits / temperature, top_k, top_p) > 0, full, 0.0)


@mutant("L4.6", misconception="cut_is_a_logit_of_zero",
        hint="exp(0) is 1. Which logit has the probability 0?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    kept = _choose(logits / temperature, top_k, top_p) > 0
    e = np.exp(np.where(kept, (logits - logits.max()) / temperature, 0.0))
    return e / e.sum()


@mutant("L4.6", misconception="crossing_token_is_dropped",
        hint="p = [.5, .3, .2] and top_p = .6: what mass do you keep? It should reach .6.")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    return _choose(logits / temperature, top_k, top_p, lambda p, before, top_p: before + p <= top_p)


@mutant("L4.6", misconception="nucleus_one_too_many",
        hint="Leave out the last token that you keep: do the others reach p already?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    return _choose(logits / temperature, top_k, top_p, lambda p, before, top_p: np.roll(before, 1) < top_p)


@mutant("L4.6", misconception="top_p_is_a_threshold",
        hint="top-p looks at the sum of the probabilities so far, not at each one. What if the largest is "
             ".3?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    return _choose(logits / temperature, top_k, top_p, lambda p, before, top_p: p >= top_p)


@mutant("L4.6", misconception="top_p_from_the_least",
        hint="Which tokens are counted first: the most probable, or the least?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    return _choose(logits / temperature, top_k, top_p,
                   lambda p, before, top_p: np.cumsum(p[::-1])[::-1] - p < top_p)  # fmt: skip


@mutant("L4.6", misconception="top_p_of_all_tokens",
        hint="After top_k the rest is made to sum to 1 before top_p looks at it. Which masses do you add "
             "up?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    z = logits / temperature
    full = np.sort(np.exp(z - z.max()) / np.exp(z - z.max()).sum())[::-1]
    return _choose(z, top_k, top_p, lambda p, before, top_p: (np.cumsum(full) - full)[: len(p)] < top_p)


@mutant("L4.6", misconception="sampling_is_argmax",
        hint="The task asks for a distribution. Which tokens besides the best one may come?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    return np.eye(len(logits))[np.argmax(logits)]


@mutant("L4.6", misconception="softmax_overflows",
        hint="exp(10,000) is infinite. What may be subtracted from all logits?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    kept = next_right(logits, temperature, top_k, top_p) > 0
    e = np.where(kept, np.exp(logits / temperature), 0.0)
    return e / e.sum()


@mutant("L4.6", misconception="order_is_not_undone",
        hint="You sorted the tokens. Whose probability stands at index 0 now?")  # fmt: skip
def next_distribution(logits, temperature, top_k, top_p):
    return np.sort(next_right(logits, temperature, top_k, top_p))[::-1]


# ----------------------------------------------------------------------------------------------------------------- L4.7


def _attend(query, keys, values, may=None):
    scores = query @ F.swapaxes(keys, 1, 2) / math.sqrt(query.shape[2])
    return F.softmax(scores if may is None else F.where(may, scores, -math.inf)) @ values


def _joined(key, value, old_keys, old_values):
    return F.concatenate([old_keys, key], 1), F.concatenate([old_values, value], 1)


@mutant("L4.7", misconception="mask_is_not_offset",
        hint="With three old positions the first new one is position 3. How many may it read by your "
             "triangle?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    keys, values = _joined(key, value, old_keys, old_values)
    return _attend(query, keys, values, np.tri(query.shape[1], keys.shape[1], dtype=bool)), keys, values


@mutant("L4.7", misconception="no_mask_among_the_new",
        hint="With one new position nothing is hidden. And when a whole prompt is read at once?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    keys, values = _joined(key, value, old_keys, old_values)
    return _attend(query, keys, values), keys, values


@mutant("L4.7", misconception="cannot_see_itself_in_the_cache",
        hint="May a position read its own token? Count how many your first new position reads.")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    keys, values = _joined(key, value, old_keys, old_values)
    n, m = query.shape[1], old_keys.shape[1]
    return _attend(query, keys, values, np.tri(n, m + n, k=m - 1, dtype=bool)), keys, values


@mutant("L4.7", misconception="only_the_old_are_read",
        hint="The new tokens are in the text as well. Whose keys does your query never meet?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    keys, values = _joined(key, value, old_keys, old_values)
    if not old_keys.shape[1]:
        return attend_right(query, key, value, old_keys, old_values)
    return _attend(query, old_keys, old_values), keys, values


@mutant("L4.7", misconception="only_the_new_are_read",
        hint="Change an old value: does anything that you return for the new positions change?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    n = query.shape[1]
    keys, values = _joined(key, value, old_keys, old_values)
    return _attend(query, key, value, np.tri(n, dtype=bool)), keys, values


@mutant("L4.7", misconception="cache_does_not_grow",
        hint="What does the next call find in the cache: this call's keys too?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    y, keys, values = attend_right(query, key, value, old_keys, old_values)
    return (y, old_keys, old_values) if old_keys.shape[1] else (y, keys, values)


@mutant("L4.7", misconception="cache_is_overwritten",
        hint="How many positions are kept after the second call?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    return attend_right(query, key, value, old_keys, old_values)[0], key, value


@mutant("L4.7", misconception="new_before_old",
        hint="In which order do the positions stand in what you keep? And in your mask?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    y = attend_right(query, key, value, old_keys, old_values)[0]
    return y, F.concatenate([key, old_keys], 1), F.concatenate([value, old_values], 1)


@mutant("L4.7", misconception="keys_are_kept_as_values",
        hint="There are two things to keep of each position. Which of them do you keep twice?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    return attend_right(query, key, key, old_keys, old_values)


@mutant("L4.7", misconception="scale_by_the_length",
        hint="√K is the width of a key. By what do you divide when the cache is longer?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    keys, values = _joined(key, value, old_keys, old_values)
    n, S = query.shape[1], keys.shape[1]
    scores = query @ F.swapaxes(keys, 1, 2) / math.sqrt(S)
    return F.softmax(F.where(np.tri(n, S, k=S - n, dtype=bool), scores, -math.inf)) @ values, keys, values


@mutant("L4.7", misconception="joined_along_the_heads",
        hint="Which axis counts the positions: the one of the heads, or the one in the middle?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    y = attend_right(query, key, value, old_keys, old_values)[0]
    return y, F.concatenate([old_keys, key], 0), F.concatenate([old_values, value], 0)


@mutant("L4.7", misconception="weights_of_old_and_new_apart",
        hint="Old and new positions share one softmax. What do your weights sum to?")  # fmt: skip
def attend_with_cache(query, key, value, old_keys, old_values):
    keys, values = _joined(key, value, old_keys, old_values)
    y = _attend(query, key, value, np.tri(query.shape[1], dtype=bool))
    return (y + _attend(query, old_keys, old_values) if old_keys.shape[1] else y), keys, values


# ----------------------------------------------------------------------------------------------------------------- L4.9


def _work(prompt, new, D, L, V, cached, read=None, pairs=None, head=None):
    total = 0
    for i in range(new):
        s = prompt + i
        n = read(i, s) if read else (1 if cached and i > 0 else s)
        attention = pairs(n, s) if pairs else 4 * n * s * D
        total += L * (24 * n * D * D + attention) + (head(n) if head else 2 * D * V)
    return total


@mutant("L4.9", misconception="a_product_is_one_operation",
        hint="Each term of a product is multiplied, and then?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return flops_right(prompt, new, width, layers, vocabulary, cached) // 2


@mutant("L4.9", misconception="a_cache_makes_the_prompt_free",
        hint="Before anything is written, who has put the keys of the prompt into the cache?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return _work(prompt, new, width, layers, vocabulary, cached, read=lambda i, s: 1 if cached else s)


@mutant("L4.9", misconception="the_cache_saves_nothing",
        hint="With the cache, how many positions are read for the second token?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return flops_right(prompt, new, width, layers, vocabulary, False)


@mutant("L4.9", misconception="the_prompt_grows_too_late",
        hint="How long is the text when the second token is chosen: as long as the prompt, or one longer?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return new * flops_right(prompt, 1, width, layers, vocabulary, cached)


@mutant("L4.9", misconception="the_last_token_is_read",
        hint="To write one token after a prompt of three, how many positions must be read?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return flops_right(prompt + (not cached), new, width, layers, vocabulary, cached) + (
        cached * layers * (24 * width**2 + 4 * (prompt + new) * width)
    )


@mutant("L4.9", misconception="head_at_every_position",
        hint="For the next token, the logits of which position are needed?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return _work(prompt, new, width, layers, vocabulary, cached, head=lambda n: 2 * n * width * vocabulary)


@mutant("L4.9", misconception="head_is_free",
        hint="Who multiplies by the (D, V) matrix, and how often?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return _work(prompt, new, width, layers, vocabulary, cached, head=lambda n: 0)


@mutant("L4.9", misconception="attention_with_the_cache_reads_one",
        hint="The newest position computes one query. How many keys does it meet?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return _work(prompt, new, width, layers, vocabulary, cached, pairs=lambda n, s: 4 * n * n * width)


@mutant("L4.9", misconception="attention_is_only_scores",
        hint="After the scores come the weighted sums of values. Do those cost nothing?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return _work(prompt, new, width, layers, vocabulary, cached, pairs=lambda n, s: 2 * n * s * width)


@mutant("L4.9", misconception="masked_ones_are_free",
        hint="The product computes all scores first. When are the forbidden ones struck out?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return _work(prompt, new, width, layers, vocabulary, cached,
                 pairs=lambda n, s: 4 * width * (s if n == 1 else s * (s + 1) // 2))  # fmt: skip


@mutant("L4.9", misconception="mlp_is_forgotten",
        hint="Of the 12 D² weights of a block, which are not attention's?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    positions = prompt + new - 1 if cached else sum(prompt + i for i in range(new))
    return flops_right(prompt, new, width, layers, vocabulary, cached) - layers * 16 * width**2 * positions


@mutant("L4.9", misconception="one_block_works",
        hint="How many blocks does a token pass through?")  # fmt: skip
def generation_flops(prompt, new, width, layers, vocabulary, cached):
    return flops_right(prompt, new, width, 1, vocabulary, cached)
