"""The models that are timed. S and M are those of the project's own claim; TOY is for the test of the benchmark."""

from dataclasses import dataclass

from minilm.models import GPTConfig


@dataclass(frozen=True)
class Size:
    """A GPT-2-style model, and `batch` sequences of `context` tokens for a training step."""

    name: str
    width: int
    layers: int
    heads: int
    context: int
    batch: int
    vocab_size: int

    @property
    def config(self) -> GPTConfig:
        """The model of this size: pre-norm, tied head, no dropout."""
        return GPTConfig(
            vocab_size=self.vocab_size,
            context=self.context,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
        )

    def __str__(self) -> str:
        return f"d={self.width} L={self.layers} H={self.heads} T={self.context} B={self.batch} V={self.vocab_size}"


TOY = Size("toy", width=16, layers=2, heads=2, context=12, batch=3, vocab_size=29)
S = Size("S", width=128, layers=4, heads=4, context=128, batch=16, vocab_size=128)
M = Size("M", width=256, layers=6, heads=8, context=256, batch=8, vocab_size=8192)

SIZES = {size.name: size for size in (S, M)}
