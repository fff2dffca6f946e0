"""A LLaMA out of a GGUF file: its settings and weights.

Two things are written otherwise than here. A matrix is (out, in). And rotary positions turn neighbours, x_{2i} with
x_{2i+1}, where we, as Hugging Face, turn x_i with x_{i+K/2}: so the rows of queries and keys go back to where they
stood before the file was made.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minilm.errors import CheckpointError, ConfigError
from minilm.i18n import tr
from minilm.models.gguf.file import GGUF
from minilm.models.huggingface.tables import Weight, layers, linear, same
from minilm.models.llama import Llama, LlamaConfig

ARCHITECTURE = "llama"

# Names, licences and history; how it was quantized, which each weight says itself; what to draw tokens by.
OF_NO_EFFECT = (
    "general.name general.author general.version general.organization general.finetune general.basename "
    "general.description general.quantized_by general.size_label general.license general.license.* general.url "
    "general.doi general.uuid general.repo_url general.source.* general.base_model.* general.dataset.* general.tags "
    "general.languages general.datasets general.file_type general.quantization_version general.alignment "
    "general.sampling.* quantize.imatrix.*"
).split()

Progress = Callable[[int, int], None]


# --------------------------------------------------------------------------------------------------------- settings


def read_config(file: GGUF) -> LlamaConfig:
    """What shapes the model: all of the metadata but the tokenizer's. ConfigError for what is not built here."""
    metadata, arrays = file.metadata, file.arrays
    metadata.require("general.architecture", ARCHITECTURE)
    metadata.require("general.type", "model")
    for key in ("split.count", "split.no"):
        metadata.require(key, 0, 1)
    metadata.ignore("split.tensors.count", *OF_NO_EFFECT)

    def take(key: str, *default: Any) -> Any:
        return metadata.take(f"{ARCHITECTURE}.{key}", *default)

    def require(key: str, *wanted: Any) -> None:
        metadata.require(f"{ARCHITECTURE}.{key}", *wanted)

    def count(key: str) -> int:
        if not isinstance(got := take(key), int) or got < 1:
            raise ConfigError(
                tr("{key} is {got}; minilm reads files with one whole number there", key=f"{ARCHITECTURE}.{key}",
                   got=got)
            )  # fmt: skip
        return got

    width, heads, context = count("embedding_length"), count("attention.head_count"), count("context_length")
    head_width = take("attention.key_length", width // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        require(key, head_width)
    require("attention.causal", True)
    require("expert_count", 0)
    require("expert_used_count", 0)
    vocab_size = file.shape("token_embd.weight")[0] if "token_embd.weight" in arrays else take("vocab_size")
    require("vocab_size", vocab_size)
    metadata.ignore(f"{ARCHITECTURE}.tensor_data_layout")  # which program wrote it
    return LlamaConfig(
        vocab_size=vocab_size,
        context=context,
        width=width,
        layers=count("block_count"),
        heads=heads,
        kv_heads=take("attention.head_count_kv", heads),
        head_width=head_width,
        mlp_width=count("feed_forward_length"),
        epsilon=take("attention.layer_norm_rms_epsilon"),
        theta=take("rope.freq_base", 10000.0),
        rope_scaling=_rope_scaling(file, context),
        attention_bias="blk.0.attn_q.bias" in arrays,
        mlp_bias="blk.0.ffn_up.bias" in arrays,
        tied="output.weight" not in arrays,
    )


def _rope_scaling(file: GGUF, context: int) -> dict[str, Any] | None:
    """How frequencies are bent: by a factor, or by one for each pair, which stands among the arrays (LLaMA 3)."""

    def take(key: str, *default: Any) -> Any:
        return file.metadata.take(f"{ARCHITECTURE}.rope.scaling.{key}", *default)

    file.metadata.require(f"{ARCHITECTURE}.rope.scaling.type", "linear", "yarn", "none")
    file.metadata.ignore(f"{ARCHITECTURE}.rope.scaling.finetuned")
    kind, factor, original = take("type", "linear"), take("factor", 1.0), take("original_context_length", context)
    bent = kind != "none" and factor != 1
    if "rope_freqs.weight" in file.arrays:
        if bent:
            raise ConfigError(tr("it scales rotary positions twice, by {kind} and by rope_freqs.weight", kind=kind))
        factors = file.read("rope_freqs.weight").tolist()  # by which each frequency is divided, at every length
        lists = {"short_factor": factors, "long_factor": factors}
        return {"kind": "longrope", **lists, "original_context": context, "factor": 1.0}
    if not bent:
        return None
    return {"kind": kind, "factor": factor} | ({"original_context": original} if kind == "yarn" else {})


# ---------------------------------------------------------------------------------------------------------- weights


def weights(config: LlamaConfig) -> list[Weight]:
    """The table: our parameters and the arrays that each is made of."""
    c: Any = config  # whose None are numbers by now
    queries, keys = c.heads * c.head_width, c.kv_heads * c.head_width
    block = [
        *same("blocks.{i}.norm1", "blk.{i}.attn_norm", "weight"),
        *linear("blocks.{i}.attention.qkv", *(f"blk.{{i}}.attn_{x}" for x in "qkv"), bias=c.attention_bias,
                sizes=(queries, keys, keys)),
        *linear("blocks.{i}.attention.out", "blk.{i}.attn_output", bias=c.attention_bias),
        *same("blocks.{i}.norm2", "blk.{i}.ffn_norm", "weight"),
        *linear("blocks.{i}.mlp.gate", "blk.{i}.ffn_gate", bias=c.mlp_bias),
        *linear("blocks.{i}.mlp.up", "blk.{i}.ffn_up", bias=c.mlp_bias),
        *linear("blocks.{i}.mlp.down", "blk.{i}.ffn_down", bias=c.mlp_bias),
    ]  # fmt: skip
    return [
        *same("token_embedding", "token_embd", "weight"),
        *layers(c.layers, block),
        *same("final_norm", "output_norm", "weight"),
        *([] if c.tied else linear("head", "output", bias=False)),
    ]


def load_weights(file: GGUF, model: Llama, progress: Progress | None = None) -> None:
    """Write the arrays of a file into the parameters. progress(done, all): called with numbers of weights.

    CheckpointError, before any is read, where one is missing, unexpected or of another shape.
    """
    table, parameters = weights(model.config), dict(model.named_parameters())
    _check(file, table, parameters)
    done, total = 0, model.num_parameters()
    for weight in table:
        parameter = parameters[weight.ours]
        parameter.assign(weight.join([_in_our_order(file, name, model.config) for name in weight.theirs]))
        done += parameter.size
        if progress is not None:
            progress(done, total)


def _check(file: GGUF, table: list[Weight], parameters: Mapping[str, Any]) -> None:
    """CheckpointError that names every array which is missing, of another shape, or that no LLaMA has."""
    wanted = {name: shape for weight in table for name, _, shape in weight.parts(parameters[weight.ours].shape)}
    missing = [name for name in wanted if name not in file.arrays]
    unexpected = sorted(set(file.arrays) - set(wanted) - {"rope_freqs.weight"})
    both = [(name, file.shape(name), shape) for name, shape in wanted.items() if name in file.arrays]
    shapes = [f"{name} {got} ≠ {shape}" for name, got, shape in both if got != shape]
    faults = [
        (missing, tr("missing: {names}", names=", ".join(missing))),
        (unexpected, tr("unexpected: {names}", names=", ".join(unexpected))),
        (shapes, tr("of another shape: {names}", names=", ".join(shapes))),
    ]
    if said := [phrase for names, phrase in faults if names]:
        raise CheckpointError(tr("{file}: its arrays do not fit its metadata: ", file=file.path) + "; ".join(said))


def _in_our_order(file: GGUF, name: str, config: LlamaConfig) -> np.ndarray:
    """An array with the rows of queries and keys where our rotary positions want them."""
    array = file.read(name)
    part = name.split(".")[-2]
    if part not in ("attn_q", "attn_k"):
        return array
    return halves_first(array, config.heads if part == "attn_q" else config.kv_heads or config.heads)


def halves_first(array: np.ndarray, heads: int) -> np.ndarray:
    """Of each head of the first axis, rows 0, 2, 4, …, then 1, 3, 5, …: neighbours come to stand K/2 apart."""
    pairs = array.reshape(heads, -1, 2, *array.shape[1:])  # (H, K/2, 2, …)
    return pairs.swapaxes(1, 2).reshape(array.shape)
