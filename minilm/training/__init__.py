"""Training: optimizers, schedules, the loop, threads, checkpoints and run folders."""

from minilm.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from minilm.training.config import TrainConfig
from minilm.training.interrupt import Interrupted
from minilm.training.log import read_log
from minilm.training.objectives import KnownSource, MaskedLM, MaskedLMAndNextSentence, NextToken
from minilm.training.optim import SGD, AdamW, clip_by_global_norm
from minilm.training.run import Run
from minilm.training.schedule import learning_rate
from minilm.training.trainer import Trainer, TrainResult

__all__ = [
    "SGD",
    "AdamW",
    "Checkpoint",
    "Interrupted",
    "KnownSource",
    "MaskedLM",
    "MaskedLMAndNextSentence",
    "NextToken",
    "Run",
    "TrainConfig",
    "TrainResult",
    "Trainer",
    "clip_by_global_norm",
    "learning_rate",
    "load_checkpoint",
    "read_log",
    "save_checkpoint",
]
