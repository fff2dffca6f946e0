"""What a run is counted as: parameters with and without embeddings, FLOPs a token by operation and by 6 N.

A loss against one count of parameters has another slope than against another one, and 6 N is off by what N leaves out:
a table of runs says which count it has. The counts of parameters are those of `minilm.models.sizes`.
"""

from typing import Any, NamedTuple

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.sizes import (
    Flops,
    Shape,
    checked_context,
    flops_by_kaplan,
    flops_by_parameters,
    non_embedding_parameters,
    parameters_by_part,
)
from minilm.models.sizes.counting import mlp_weights
from minilm.scaling.published import critical_batch

EMBEDDINGS = ("token_embedding", "position_embedding", "segment_embedding")


class Parameters(NamedTuple):
    """Four counts of one model.

    all: every number that is learned, a tied head once (Hoffmann et al. 2022). without_embeddings: that, less what is
    looked up and less the head, so with biases and norms. blocks: the blocks' matrices alone, 12 L D² (Kaplan's N).
    in_products: those matrices and the head's, tied or not: what each token is multiplied by.
    """

    all: int
    without_embeddings: int
    blocks: int
    in_products: int


def parameters(model: Any) -> Parameters:
    """The counts of a model of this configuration or Shape; an encoder without a head has none to count."""
    shape = Shape.of(model)
    parts = parameters_by_part(shape)
    looked_up = sum(parts[name] for name in EMBEDDINGS)
    head = parts.get("language_model", 0)
    blocks = non_embedding_parameters(shape)
    in_head = shape.vocab_size * shape.width * ("language_model" in shape.on_top)
    return Parameters(sum(parts.values()), sum(parts.values()) - looked_up - head, blocks, blocks + in_head)


def flops_by_operation(model: Any, context: int | None = None, causal_half: bool = False) -> dict[str, Flops]:
    """Matrix product -> FLOPs for each token, forward and in training: exactly what `ml.trace()` counts of a step.

    2 for each entry of a matrix, so with T tokens of context, of GPT, BERT or LLaMA's block:

        queries, keys, values 2 L D K (H + 2 H′); scores 2 L T H K; their mean of values 2 L T H K; output 2 L D H K;
        MLP 2 L D F, twice, or three times with a gate; the language model's head 2 D V, tied or not.

    The backward costs twice as much. Masked positions count, for our engine computes them; causal_half: count the half
    that a causal mask leaves, as Kaplan does. ConfigError for a model with a second stack, or with parts on top that
    not every token passes (a pooler, a classifier).
    """
    s = Shape.of(model)
    T = checked_context(s, context)
    if s.decoder_layers or set(s.on_top) - {"language_model"} or s.embedding_width != s.width:
        raise ConfigError(
            tr("FLOPs by operation are counted for one stack of blocks with a language model's head; take ml.trace()")
        )
    L, D, HK = s.layers, s.width, s.heads * s.head_width
    seen = T / 2 if causal_half and s.causal else T
    forward = {
        "queries_keys_values": 2 * L * D * s.head_width * (s.heads + 2 * s.kv_heads),
        "scores": int(2 * L * seen * HK),
        "mean_of_values": int(2 * L * seen * HK),
        "output": 2 * L * D * HK,
        "mlp": 2 * L * mlp_weights(s),
        "head": 2 * D * s.vocab_size * ("language_model" in s.on_top),
    }
    return {name: Flops(n, 3 * n) for name, n in forward.items()}


class TokenFlops(NamedTuple):
    """FLOPs to train on one token, in four ways of counting.

    products: all matrix products, masked scores too (`flops_by_operation`); 6 N with N all parameters (Hoffmann) and
    with N the blocks' (Kaplan, C = 6 N D); kaplan: the latter with the half of attention that a mask leaves.
    """

    products: int
    by_all_parameters: int
    by_blocks: int
    kaplan: int


def training_flops(model: Any, context: int | None = None) -> TokenFlops:
    """The four counts for one token of training."""
    s = Shape.of(model)
    products = sum(flops.training for flops in flops_by_operation(s, context).values())
    by_blocks = 6 * non_embedding_parameters(s)
    return TokenFlops(products, flops_by_parameters(s).training, by_blocks, flops_by_kaplan(s, context).training)


def traced_flops(model: Any, ids: Any) -> Flops:
    """FLOPs for each token of everything that runs, norms, softmax and loss too: one forward and backward under trace.

    model: one whose `loss(ids, targets)` is a scalar. ids: (B, T) integers. The gradients that it leaves are thrown
    away, those that were there are kept.
    """
    import minilm as ml

    kept = [(parameter, parameter.grad) for _, parameter in model.named_parameters()]
    with ml.trace(memory=False) as record:
        model.loss(ids, ids).backward()
    for parameter, grad in kept:
        parameter.grad = grad
    return Flops(record.flops_of("forward") // ids.size, record.flops // ids.size)


def critical_batch_size(loss: float, context: int | None = None) -> float:
    """Kaplan's critical batch for web text at this loss, in tokens, or in texts of `context` tokens.

    A loss on another source, or in another tokenizer's tokens, is none of Kaplan's, so for it this is no more than an
    order of magnitude; McCandlish et al. 2018 measure it by the noise of the gradient instead.
    """
    if not loss > 0:
        raise ConfigError(tr("{name} is {got!r}; it must be above 0", name="loss", got=loss))
    return critical_batch(loss) / (context or 1)
