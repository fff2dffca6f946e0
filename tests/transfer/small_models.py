"""Small models that have learned nothing, as if they had been pretrained, and folders as pretraining makes them."""

from pathlib import Path
from typing import Any

import numpy as np

from minilm.models import GPT, BertConfig, BertForPreTraining, GPTConfig
from minilm.text import WordTokenizer
from minilm.training.checkpoint import save_checkpoint
from minilm.training.run import Run
from minilm.transfer import Pretrained

WORDS = "the cat dog fox is was good bad big small red blue not and he she it sat ran on in a mat house".split()
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def words_tokenizer(*more: str) -> WordTokenizer:
    return WordTokenizer([*SPECIALS, *more, *WORDS], [*SPECIALS, *more])


def small(kind: str, tokenizer: Any = None, seed: int = 5, std: float = 0.3, **settings: Any) -> Pretrained:
    """A model of width 16 whose weights are random and large enough to matter."""
    tokenizer = tokenizer or words_tokenizer()
    shape = {"context": 24, "width": 16, "layers": 2, "heads": 2, **settings}
    if kind == "gpt":
        config: Any = GPTConfig(tokenizer.vocab_size, **shape)
        model: Any = GPT(config, seed)
    else:
        config = BertConfig(tokenizer.vocab_size, **shape)
        model = BertForPreTraining(config, seed)
    rng = np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.assign((parameter.numpy() + std * rng.standard_normal(parameter.shape)).astype(np.float32))
    return Pretrained.of(kind, config, model.state_dict(), tokenizer)


def write_run(folder: Path, pretrained: Pretrained) -> Path:
    """A run folder with one checkpoint of these weights."""
    state = dict(pretrained.weights)
    if pretrained.kind == "bert":
        whole = BertForPreTraining(pretrained.config, 0).state_dict()
        state = {**whole, **{f"bert.{name}": array for name, array in state.items()}}
    config = {
        "kind": pretrained.kind,
        "model": pretrained.config.to_dict(),
        "tokenizer": pretrained.tokenizer.fingerprint,
    }
    run = Run.create(folder, config, pretrained.tokenizer)
    save_checkpoint(run.checkpoints, 1, state, {}, {"metrics": dict[str, float]()})
    return folder
