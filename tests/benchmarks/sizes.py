"""The models that are timed. S, M and L are those of the project's own claims; TOY is for the benchmark's own tests.

Nothing here imports minilm: the engines of other libraries read it too, and the memory of their processes is measured.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """A Transformer's shape, and `batch` sequences of `context` tokens for a training step."""

    name: str
    width: int
    layers: int
    heads: int
    context: int
    batch: int
    vocab_size: int

    @property
    def tokens(self) -> int:
        """How many a training step reads."""
        return self.batch * self.context

    @property
    def mlp_width(self) -> int:
        """F of GPT and BERT."""
        return 4 * self.width

    @property
    def gated_width(self) -> int:
        """F of LLaMA: 8 D / 3, rounded up to a multiple of 256 as in its code."""
        return -(-(8 * self.width // 3) // 256) * 256

    @property
    def masked(self) -> int:
        """How many tokens of a row BERT has to guess: 15 %."""
        return max(1, round(0.15 * self.context))

    def __str__(self) -> str:
        return f"d={self.width} L={self.layers} H={self.heads} T={self.context} B={self.batch} V={self.vocab_size}"


TOY = Size("toy", width=16, layers=2, heads=2, context=12, batch=4, vocab_size=29)
S = Size("S", width=128, layers=4, heads=4, context=128, batch=16, vocab_size=128)
M = Size("M", width=256, layers=6, heads=8, context=256, batch=8, vocab_size=8192)
L = Size("L", width=768, layers=2, heads=12, context=256, batch=2, vocab_size=50257)
COST = Size("cost", width=256, layers=4, heads=8, context=128, batch=4, vocab_size=1024)  # M, but quicker
