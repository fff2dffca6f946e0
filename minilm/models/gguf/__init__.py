"""GGUF, the file of llama.cpp: a LLaMA's settings, weights and tokenizer in one, read through the package `gguf`.

Weights may be quantized, in blocks of numbers that share a scale. Every setting is honoured, or known to change
nothing, or refused by name; every array is used, or named.
"""

from collections.abc import Callable
from pathlib import Path

from minilm.errors import ConfigError, DataError
from minilm.models.gguf.file import open_gguf
from minilm.models.gguf.llama import load_weights, read_config
from minilm.models.gguf.tokenizer import Speech, read_speech
from minilm.models.llama import Llama
from minilm.nn.init import blank_weights

__all__ = ["Speech", "load_gguf", "open_gguf"]


def load_gguf(path: str | Path, progress: Callable[[int, int], None] | None = None) -> tuple[Llama, Speech]:
    """The model of a file, in float32 and evaluation mode, and how it reads and writes text.

    progress(done, all): called with numbers of weights. Errors: CheckpointError for a file that is missing or damaged,
    or whose arrays do not fit; ConfigError for another architecture, tokenizer or setting than are built here, or
    without the package gguf; DataError for a vocabulary that is none.
    """
    file = open_gguf(path)
    try:
        config, speech = read_config(file), read_speech(file.metadata)
        file.metadata.finish()
    except (ConfigError, DataError) as error:
        raise type(error)(f"{file.path}: {error}") from error
    with blank_weights():
        model = Llama(config)
    load_weights(file, model, progress)
    return model.eval(), speech
