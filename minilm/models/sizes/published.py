"""The models that were published, by name: their settings, and what their papers say of their size."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.bert import BertConfig
from minilm.models.gpt import GPTConfig
from minilm.models.llama import LlamaConfig
from minilm.models.sizes.shape import Shape
from minilm.models.t5 import T5Config
from minilm.nn.rotary import Llama3Scaling


@dataclass(frozen=True)
class Published:
    """A published model. kind(**settings) is its configuration, or for one that we cannot build its Shape.

    on_top: the parts that its count includes. said: the size as its paper or release prints it; what hides behind it
    is said by notes.py. source: where the settings are from.
    """

    kind: Callable[..., Any]
    settings: dict[str, Any]
    on_top: tuple[str, ...]
    said: str
    source: str

    @property
    def shape(self) -> Shape:
        """Its numbers."""
        return Shape.of(self.kind(**self.settings), *self.on_top)


def resolve(name: str) -> str:
    """The name under which PUBLISHED has this model; ConfigError with the nearest names where there is none."""
    wanted = name.lower()
    wanted = ALIASES.get(wanted, wanted)
    if wanted not in PUBLISHED:
        near = difflib.get_close_matches(wanted, [*PUBLISHED, *ALIASES], n=3, cutoff=0.5)
        if not near:
            raise ConfigError(tr("there is no published model {got!r}: `minilm sizes` lists those there are", got=name))
        known = ", ".join(near)
        raise ConfigError(tr("there is no published model {got!r}; the nearest are {known}", got=name, known=known))
    return wanted


def published(name: str) -> Published:
    """The model of that name, or of one of its other names."""
    return PUBLISHED[resolve(name)]


def _settings(name: str, kind: type) -> dict[str, Any]:
    found = published(name)
    if found.kind is not kind:
        known = ", ".join(known for known, other in PUBLISHED.items() if other.kind is kind)
        raise ConfigError(tr("{name} has no {kind}; these have: {known}", name=name, kind=kind.__name__, known=known))
    return found.settings


def gpt_config(name: str, **changes: Any) -> GPTConfig:
    """The configuration of that name with some settings changed, e.g. gpt_config("gpt2", vocab_size=65)."""
    return GPTConfig.from_dict({**_settings(name, GPTConfig), **changes})


def bert_config(name: str, **changes: Any) -> BertConfig:
    """The configuration of that name with some settings changed, e.g. bert_config("bert-base-cased", dropout=0.0)."""
    return BertConfig.from_dict({**_settings(name, BertConfig), **changes})


def llama_config(name: str, **changes: Any) -> LlamaConfig:
    """The configuration of that name with some settings changed, e.g. llama_config("smollm2-135m", context=256)."""
    return LlamaConfig.from_dict({**_settings(name, LlamaConfig), **changes})


def t5_config(name: str, **changes: Any) -> T5Config:
    """The configuration of that name with some settings changed, e.g. t5_config("t5-small", layers=2)."""
    return T5Config.from_dict({**_settings(name, T5Config), **changes})


# ------------------------------------------------------------------------------------------------------------- GPT


def _gpt(said: str, source: str, width: int, layers: int, heads: int, **settings: Any) -> Published:
    settings = {"width": width, "layers": layers, "heads": heads, "dropout": 0.1, **settings}
    return Published(GPTConfig, settings, (), said, source)


# Radford et al. 2018, section 4.1, and the released vocabulary of 40,478.
GPT1 = {
    "gpt1": _gpt("117M", "Radford et al. 2018", 768, 12, 12, vocab_size=40_478, context=512, norm="post"),
}


def _gpt2(said: str, *shape: int) -> Published:
    return _gpt(said, "Radford et al. 2019", *shape, vocab_size=50_257, context=1024)


# Radford et al. 2019, table 2; heads as in the released weights.
GPT2 = {
    "gpt2": _gpt2("117M", 768, 12, 12),
    "gpt2-medium": _gpt2("345M", 1024, 24, 16),
    "gpt2-large": _gpt2("762M", 1280, 36, 20),
    "gpt2-xl": _gpt2("1542M", 1600, 48, 25),
}


def _gpt3(said: str, *shape: int) -> Published:
    return _gpt(said, "Brown et al. 2020", *shape, vocab_size=50_257, context=2048, dropout=0.0)


# Brown et al. 2020, table 2.1: GPT-2's block, its attention dense and sparse in turn, which takes the same parameters.
# Two rows of the table cannot be: XL has 24 heads of 128, together 3072 and not its width of 2048; 13B has 40 of 128,
# together 5120 and not 5140, and table D.1's 12,850 million are those of 5120. Here XL has 16 heads and 13B the width
# 5120; "gpt3-13b-5140" has the width as printed and, since 40 do not divide it, 20 heads, which no count depends on.
GPT3 = {
    "gpt3-small": _gpt3("125M", 768, 12, 12),
    "gpt3-medium": _gpt3("350M", 1024, 24, 16),
    "gpt3-large": _gpt3("760M", 1536, 24, 16),
    "gpt3-xl": _gpt3("1.3B", 2048, 24, 16),
    "gpt3-2.7b": _gpt3("2.7B", 2560, 32, 32),
    "gpt3-6.7b": _gpt3("6.7B", 4096, 32, 32),
    "gpt3-13b": _gpt3("13.0B", 5120, 40, 40),
    "gpt3-13b-5140": _gpt3("13.0B", 5140, 40, 20),
    "gpt3-175b": _gpt3("175.0B", 12_288, 96, 96),
}

# ------------------------------------------------------------------------------------------------ BERT and its kin

PRETRAINING = ("pooler", "masked_lm", "next_sentence")


def _bert(said: str, source: str, vocab_size: int, width: int, layers: int, heads: int) -> Published:
    settings = {"vocab_size": vocab_size, "width": width, "layers": layers, "heads": heads, "dropout": 0.1}
    return Published(BertConfig, settings, PRETRAINING, said, source)


# Devlin et al. 2019, section 3; vocabularies as in the released weights. BETO: Cañete et al. 2020, BERT in Spanish.
BERT = {
    "bert-base-uncased": _bert("110M", "Devlin et al. 2019", 30_522, 768, 12, 12),
    "bert-base-cased": _bert("110M", "Devlin et al. 2019", 28_996, 768, 12, 12),
    "bert-large-uncased": _bert("340M", "Devlin et al. 2019", 30_522, 1024, 24, 16),
    "bert-large-cased": _bert("340M", "Devlin et al. 2019", 28_996, 1024, 24, 16),
    "beto-cased": _bert("110M", "Cañete et al. 2020", 31_002, 768, 12, 12),
}

# Turc et al. 2019: every depth with every width, heads of 64. The paper prints the size of five.
_SAID = {(2, 128): "4.4M", (4, 256): "11.3M", (4, 512): "29.1M", (8, 512): "41.7M", (12, 768): "110.1M"}
SMALL_BERT = {
    f"bert-l{layers}-h{width}": _bert(
        _SAID.get((layers, width), ""), "Turc et al. 2019", 30_522, width, layers, width // 64
    )
    for layers in (2, 4, 6, 8, 10, 12)
    for width in (128, 256, 512, 768)
}
ALIASES = {
    "bert-tiny": "bert-l2-h128",
    "bert-mini": "bert-l4-h256",
    "bert-small": "bert-l4-h512",
    "bert-medium": "bert-l8-h512",
}


def _bert_kin(width: int, layers: int, heads: int, vocab_size: int = 30_522, **changes: Any) -> Shape:
    """BERT's shape, but for some changes."""
    return replace(Shape.of(BertConfig(vocab_size, 512, width, layers, heads)), **changes)


def _kin(said: str, source: str, shape: tuple[int, int, int], *on_top: str, **changes: Any) -> Published:
    width, layers, heads = shape
    return Published(_bert_kin, {"width": width, "layers": layers, "heads": heads, **changes}, on_top, said, source)


# Liu et al. 2019: one segment; 514 rows of positions, of which padding's number, 1, and what is below it stay unused.
_ROBERTA: dict[str, Any] = {"vocab_size": 50_265, "positions": 514, "segments": 1}
# Sanh et al. 2019: half of BERT's layers, no segments, no pooler.
# Lan et al. 2020: embeddings of 128, then D; one layer L times over; the second task is the order of two sentences.
_ALBERT: dict[str, Any] = {"vocab_size": 30_000, "embedding_width": 128, "shared_layers": True}
# Clark et al. 2020: the discriminator, which says of every token whether it was replaced.
KIN = {
    "roberta-base": _kin("125M", "Liu et al. 2019", (768, 12, 12), "masked_lm", **_ROBERTA),
    "roberta-large": _kin("355M", "Liu et al. 2019", (1024, 24, 16), "masked_lm", **_ROBERTA),
    "distilbert": _kin("66M", "Sanh et al. 2019", (768, 6, 12), segments=0),
    "albert-base": _kin("12M", "Lan et al. 2020", (768, 12, 12), "pooler", **_ALBERT),
    "albert-large": _kin("18M", "Lan et al. 2020", (1024, 24, 16), "pooler", **_ALBERT),
    "albert-xlarge": _kin("60M", "Lan et al. 2020", (2048, 24, 16), "pooler", **_ALBERT),
    "albert-xxlarge": _kin("235M", "Lan et al. 2020", (4096, 12, 64), "pooler", **_ALBERT),
    "electra-small": _kin("14M", "Clark et al. 2020", (256, 12, 4), "discriminator", embedding_width=128),
    "electra-base": _kin("110M", "Clark et al. 2020", (768, 12, 12), "discriminator"),
    "electra-large": _kin("335M", "Clark et al. 2020", (1024, 24, 16), "discriminator"),
}

# ----------------------------------------------------------------------------------------------------------- LLaMA


def _llama(
    said: str, source: str, width: int, layers: int, heads: int, kv_heads: int, mlp_width: int, **settings: Any
) -> Published:
    shape = {"width": width, "layers": layers, "heads": heads, "kv_heads": kv_heads, "mlp_width": mlp_width}
    return Published(LlamaConfig, {**shape, **settings}, (), said, source)


# Touvron et al. 2023a, table 2; 2023b, table 1. F = 256 ⌈8D/3 / 256⌉, but for LLaMA 2's 70B and what came after it.
_LLAMA1: dict[str, Any] = {"vocab_size": 32_000, "context": 2048, "epsilon": 1e-6}
_LLAMA2: dict[str, Any] = {"vocab_size": 32_000, "context": 4096, "epsilon": 1e-5}
# Llama team 2024, table 3; θ = 500,000 in all, and from 3.1 on frequencies bent for 131,072 positions.
_LLAMA3: dict[str, Any] = {"vocab_size": 128_256, "context": 8192, "epsilon": 1e-5, "theta": 500_000.0}


def _bent(factor: float) -> dict[str, Any]:
    scaling = Llama3Scaling(factor, low_freq_factor=1.0, high_freq_factor=4.0, original_context=8192)
    return {**_LLAMA3, "context": 131_072, "rope_scaling": scaling}


LLAMA = {
    "llama-7b": _llama("6.7B", "Touvron et al. 2023a", 4096, 32, 32, 32, 11_008, **_LLAMA1),
    "llama-13b": _llama("13.0B", "Touvron et al. 2023a", 5120, 40, 40, 40, 13_824, **_LLAMA1),
    "llama-33b": _llama("32.5B", "Touvron et al. 2023a", 6656, 60, 52, 52, 17_920, **_LLAMA1),
    "llama-65b": _llama("65.2B", "Touvron et al. 2023a", 8192, 80, 64, 64, 22_016, **_LLAMA1),
    "llama2-7b": _llama("7B", "Touvron et al. 2023b", 4096, 32, 32, 32, 11_008, **_LLAMA2),
    "llama2-13b": _llama("13B", "Touvron et al. 2023b", 5120, 40, 40, 40, 13_824, **_LLAMA2),
    "llama2-70b": _llama("70B", "Touvron et al. 2023b", 8192, 80, 64, 8, 28_672, **_LLAMA2),
    "llama3-8b": _llama("8B", "Llama team 2024", 4096, 32, 32, 8, 14_336, **_LLAMA3),
    "llama3-70b": _llama("70B", "Llama team 2024", 8192, 80, 64, 8, 28_672, **_LLAMA3),
    "llama3.1-405b": _llama("405B", "Llama team 2024", 16_384, 126, 128, 8, 53_248, **_bent(8.0)),
    "llama3.2-1b": _llama("1B", "Meta 2024", 2048, 16, 32, 8, 8192, **_bent(32.0), tied=True),
    "llama3.2-3b": _llama("3B", "Meta 2024", 3072, 28, 24, 8, 8192, **_bent(32.0), tied=True),
}

# The same block, trained by others. SmolLM2: Ben Allal et al. 2025, settings as in the released files. TinyLlama:
# Zhang et al. 2024, section 2.2. Mistral: Jiang et al. 2023, table 1, for the 4,096 tokens of its sliding window.
_SMOLLM2: dict[str, Any] = {"vocab_size": 49_152, "context": 8192, "epsilon": 1e-5, "theta": 100_000.0, "tied": True}
LLAMA_KIN = {
    "smollm2-135m": _llama("135M", "Ben Allal et al. 2025", 576, 30, 9, 3, 1536, **_SMOLLM2),
    "smollm2-360m": _llama("360M", "Ben Allal et al. 2025", 960, 32, 15, 5, 2560, **_SMOLLM2),
    "smollm2-1.7b": _llama("1.7B", "Ben Allal et al. 2025", 2048, 24, 32, 32, 8192, **{**_SMOLLM2, "theta": 130_000.0}),
    "tinyllama-1.1b": _llama("1.1B", "Zhang et al. 2024", 2048, 22, 32, 4, 5632, **{**_LLAMA2, "context": 2048}),
    "mistral-7b": _llama("7B", "Jiang et al. 2023", 4096, 32, 32, 8, 14_336, **_LLAMA2),
}

# -------------------------------------------------------------------------------------------------------------- T5


def _t5(
    said: str, source: str, width: int, layers: int, heads: int, head_width: int, mlp_width: int, **settings: Any
) -> Published:
    shape = {"width": width, "layers": layers, "heads": heads, "head_width": head_width, "mlp_width": mlp_width}
    return Published(T5Config, {"vocab_size": 32_128, "dropout": 0.1, **shape, **settings}, (), said, source)


def _t5_v1_1(said: str, *shape: int) -> Published:
    return _t5(said, "Shazeer 2020", *shape, gated=True, activation="gelu_tanh", tied=False)


# Raffel et al. 2020, section 3.7: as many layers in the encoder as in the decoder, heads of a width of their own, the
# table of 32,128 tokens as released. Version 1.1 is of the release: a gate in the MLP, a head of its own.
T5 = {
    "t5-small": _t5("60M", "Raffel et al. 2020", 512, 6, 8, 64, 2048),
    "t5-base": _t5("220M", "Raffel et al. 2020", 768, 12, 12, 64, 3072),
    "t5-large": _t5("770M", "Raffel et al. 2020", 1024, 24, 16, 64, 4096),
    "t5-3b": _t5("2.8B", "Raffel et al. 2020", 1024, 24, 32, 128, 16_384),
    "t5-11b": _t5("11B", "Raffel et al. 2020", 1024, 24, 128, 128, 65_536),
    "t5-v1.1-small": _t5_v1_1("", 512, 8, 6, 64, 1024),
    "t5-v1.1-base": _t5_v1_1("", 768, 12, 12, 64, 2048),
    "t5-v1.1-large": _t5_v1_1("", 1024, 24, 16, 64, 2816),
    "t5-v1.1-xl": _t5_v1_1("3B", 2048, 24, 32, 64, 5120),
    "t5-v1.1-xxl": _t5_v1_1("11B", 4096, 24, 64, 64, 10_240),
}

PUBLISHED: dict[str, Published] = {
    **GPT1, **GPT2, **GPT3, **BERT, **SMALL_BERT, **KIN, **T5, **LLAMA, **LLAMA_KIN
}  # fmt: skip
