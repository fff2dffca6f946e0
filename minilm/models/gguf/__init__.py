"""GGUF, the file of llama.cpp: a LLaMA's settings, weights and tokenizer in one, read through the package `gguf`.

Weights may be quantized, in blocks of numbers that share a scale. Every setting is honoured, or known to change
nothing, or refused by name; every array is used, or named.
"""

from collections.abc import Callable
from pathlib import Path

from minilm.models.gguf.file import GGUF, open_gguf
from minilm.models.gguf.llama import load_llama
from minilm.models.gguf.tokenizer import Speech, load_speech
from minilm.models.llama import Llama

__all__ = ["GGUF", "Speech", "load_gguf", "load_llama", "load_speech", "open_gguf"]


def load_gguf(path: str | Path, progress: Callable[[int, int], None] | None = None) -> tuple[Llama, Speech]:
    """The model of a file, in float32 and evaluation mode, and how it reads and writes text.

    progress(done, all): called with numbers of weights. Errors: CheckpointError for a file that is missing, damaged, or
    whose arrays do not fit; ConfigError for another architecture, tokenizer or setting than are built here, or without
    the package gguf.
    """
    file = open_gguf(path)
    speech = load_speech(file)
    model = load_llama(file, progress)
    file.metadata.finish()
    return model, speech
