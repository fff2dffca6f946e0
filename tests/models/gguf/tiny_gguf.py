"""Tiny GGUF files of LLaMAs, written by gguf's own writer, and what llama.cpp computes of one: nothing of minilm."""

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

SYMBOLS = [chr(b) for b in range(0x21, 0x7F)] + ["Ġ", "Ċ"]  # bytes: printable ASCII, the space, the line end
MERGES = ["t h", "Ġ th", "Ġth e", "1 2"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TOKENS = [*SPECIAL, *SYMBOLS, "th", "Ġth", "Ġthe", "12"]  # 103
SIZES = {"width": 64, "layers": 2, "heads": 4, "kv_heads": 2, "head_width": 16, "mlp_width": 96, "context": 48}
SETTINGS = {
    "llama.context_length": SIZES["context"],
    "llama.embedding_length": SIZES["width"],
    "llama.block_count": SIZES["layers"],
    "llama.feed_forward_length": SIZES["mlp_width"],
    "llama.attention.head_count": SIZES["heads"],
    "llama.attention.head_count_kv": SIZES["kv_heads"],
    "llama.attention.layer_norm_rms_epsilon": 1e-3,
    "llama.rope.freq_base": 500.0,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3] * len(SPECIAL) + [1] * (len(TOKENS) - len(SPECIAL)),
    "tokenizer.ggml.merges": MERGES,
    "tokenizer.ggml.eos_token_id": 2,
}


def arrays(rng, tied=True, biases=False, factors=None, **sizes):
    """Random float32 arrays of a model, by GGUF's names, none of them idle: norms and biases too."""
    s = {**SIZES, **sizes}
    q, kv, D, F = s["heads"] * s["head_width"], s["kv_heads"] * s["head_width"], s["width"], s["mlp_width"]
    linear = {"attn_q": (q, D), "attn_k": (kv, D), "attn_v": (kv, D), "attn_output": (D, q)}
    linear |= {"ffn_gate": (F, D), "ffn_up": (F, D), "ffn_down": (D, F)}
    shapes = {"token_embd.weight": (len(TOKENS), D), "output_norm.weight": (D,)}
    for i in range(s["layers"]):
        shapes |= {f"blk.{i}.{name}.weight": (D,) for name in ("attn_norm", "ffn_norm")}
        shapes |= {f"blk.{i}.{name}.weight": shape for name, shape in linear.items()}
        shapes |= {f"blk.{i}.{name}.bias": shape[:1] for name, shape in linear.items() if biases}
    shapes |= {} if tied else {"output.weight": (len(TOKENS), D)}
    made = {name: rng.standard_normal(shape, np.float32) / shape[-1] ** 0.5 for name, shape in shapes.items()}
    made |= {name: a + 1 for name, a in made.items() if "norm" in name}
    return made | ({} if factors is None else {"rope_freqs.weight": np.float32(factors)})


def write(path, arrays, settings=None, architecture="llama", kind=Kind.F32):
    """A file of these arrays, matrices quantized as `kind`; settings: changes of SETTINGS, None to leave a key out."""
    writer = gguf.GGUFWriter(path, architecture)
    add = {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}
    add[list] = writer.add_array
    for key, given in {**SETTINGS, **(settings or {})}.items():
        if given is not None:
            add[type(given)](key, given)
    for name, array in arrays.items():
        if array.ndim == 2 and kind != Kind.F32:
            writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def logits(arrays, ids, theta=500.0, epsilon=1e-3, factors=1.0, **sizes):
    """What llama.cpp computes, in float64: rotary positions turn neighbours, x_{2i} with x_{2i+1}."""
    s = {**SIZES, **sizes}
    H, Hkv, K = s["heads"], s["kv_heads"], s["head_width"]
    w = {name: a.astype(np.float64) for name, a in arrays.items()}
    T = len(ids)
    angles = np.arange(T)[:, None] * theta ** (-np.arange(0, K, 2) / K) / np.asarray(factors, np.float64)
    turn = np.exp(1j * angles)  # (T, K/2)

    def norm(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * w[name]

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)

    def turned(x):  # (T, heads, K)
        return ((x[..., ::2] + 1j * x[..., 1::2]) * turn[:, None]).view(np.float64).reshape(x.shape)

    x = w["token_embd.weight"][ids]
    for i in range(s["layers"]):
        b, h = f"blk.{i}", norm(x, f"blk.{i}.attn_norm.weight")
        query = turned(linear(h, f"{b}.attn_q").reshape(T, H, K))
        key, val = turned(linear(h, f"{b}.attn_k").reshape(T, Hkv, K)), linear(h, f"{b}.attn_v").reshape(T, Hkv, K)
        key, val = (np.repeat(a, H // Hkv, axis=1) for a in (key, val))
        scores = np.einsum("thk,shk->hts", query, key) / K**0.5
        scores[:, ~np.tri(T, dtype=bool)] = -np.inf
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        x = x + linear(np.einsum("hts,shk->thk", p, val).reshape(T, H * K), f"{b}.attn_output")
        h = norm(x, f"{b}.ffn_norm.weight")
        gate = linear(h, f"{b}.ffn_gate")
        x = x + linear(gate / (1 + np.exp(-gate)) * linear(h, f"{b}.ffn_up"), f"{b}.ffn_down")
    return norm(x, "output_norm.weight") @ w.get("output.weight", w["token_embd.weight"]).T
