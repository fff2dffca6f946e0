"""How many parameters a shape has, by formula, part by part: exact, and without an array."""

from collections.abc import Callable
from typing import Any

from minilm.models.sizes.shape import Shape


def attention_weights(shape: Shape) -> int:
    """2 D H K for queries and output, 2 D H′ K for keys and values of H′ heads; 4 D² if H′ = H and H K = D."""
    return 2 * shape.width * shape.head_width * (shape.heads + shape.kv_heads)


def mlp_weights(shape: Shape) -> int:
    """2 D F; 3 D F with a gate."""
    return (3 if shape.gated else 2) * shape.width * shape.mlp_width


def attention_parameters(shape: Shape) -> int:
    """The matrices and their biases; 4 D² + 4 D in GPT and BERT."""
    biases = shape.head_width * (shape.heads + 2 * shape.kv_heads) + shape.width
    return attention_weights(shape) + biases * shape.attention_bias


def mlp_parameters(shape: Shape) -> int:
    """The matrices and their biases; 2 D F + F + D in GPT and BERT."""
    biases = (2 if shape.gated else 1) * shape.mlp_width + shape.width
    return mlp_weights(shape) + biases * shape.mlp_bias


def norm_parameters(shape: Shape, width: int) -> int:
    """Weight and bias, or the weight alone."""
    return {"layer": 2, "rms": 1}[shape.norm_kind] * width


# Each part that can stand on top. The masked-LM head is dense (D -> E), norm, and E itself with a bias for each token;
# a classifier is one linear layer.
PARTS_ON_TOP: dict[str, Callable[[Shape], int]] = {
    "language_model": lambda s: 0 if s.tied else s.vocab_size * s.width,
    "pooler": lambda s: s.width * s.width + s.width,
    "masked_lm": lambda s: (s.width + 3 + s.vocab_size * (not s.tied)) * s.embedding_width + s.vocab_size,
    "next_sentence": lambda s: 2 * (s.width + 1),
    "discriminator": lambda s: s.width * s.width + s.width + s.width + 1,
    "classifier": lambda s: s.classes * (s.width + 1),
}


def parameters_by_part(shape: Shape) -> dict[str, int]:
    """Part -> how many parameters; a tensor that is used twice counts once.

    With biases and F = 4D a block has 12 D² + 13 D: attention 4 D² + 4 D, MLP 8 D² + 5 D, two norms 4 D. A decoder's
    block beside an encoder has a second attention, across, with a norm of its own.
    """
    s, D, E = shape, shape.width, shape.embedding_width
    encoder, decoder = 1 if s.shared_layers else s.layers, s.decoder_layers
    stacks = 2 if decoder else 1
    return {
        "token_embedding": s.vocab_size * E,
        "position_embedding": s.positions * E + s.buckets * s.heads * stacks,
        "segment_embedding": s.segments * E,
        "embedding_norm": norm_parameters(s, E) * s.embedding_norm,
        "embedding_projection": (E * D + D) * (E != D),
        "attention": (encoder + decoder) * attention_parameters(s),
        "cross_attention": decoder * attention_parameters(s),
        "mlp": (encoder + decoder) * mlp_parameters(s),
        "norms": (2 * encoder + 3 * decoder) * norm_parameters(s, D),
        "final_norm": stacks * norm_parameters(s, D) * s.final_norm,
        **{name: PARTS_ON_TOP[name](s) for name in s.on_top},
    }


def count_parameters(model: Any) -> int:
    """How many parameters a model of this Shape, or of this configuration, has.

    GPT: (V + context) D + L (12 D² + 13 D) [+ 2 D for a final norm] [+ V D for an untied head], for F = 4D.
    """
    return sum(parameters_by_part(Shape.of(model)).values())
