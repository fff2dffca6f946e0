"""Layers: modules with parameters, from a linear map to a Transformer block."""

from minilm.nn.attention import KVCache, MultiHeadAttention
from minilm.nn.block import Block
from minilm.nn.cross_attention import CrossAttention
from minilm.nn.layers import MLP, Dropout, Embedding, GatedMLP, LayerNorm, Linear, RMSNorm
from minilm.nn.module import Module, Parameter

__all__ = [
    "MLP",
    "Block",
    "CrossAttention",
    "Dropout",
    "Embedding",
    "GatedMLP",
    "KVCache",
    "LayerNorm",
    "Linear",
    "Module",
    "MultiHeadAttention",
    "Parameter",
    "RMSNorm",
]
