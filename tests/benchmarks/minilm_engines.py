"""minilm at work, by its public face alone: what `Trainer` does in a step, without its log and checkpoints."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from recipe import BETAS, CLIP, DECAY, EPSILON, RATE
from sizes import Size
from threadpoolctl import threadpool_info

from minilm import functional as F
from minilm.generation import stream
from minilm.models import (
    GPT,
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    GPTConfig,
    Llama,
    LlamaConfig,
)
from minilm.training import AdamW, MaskedLMAndNextSentence, NextToken, clip_by_global_norm
from minilm.training.parallel import DataParallel, Threads


def kernels() -> str:
    """The BLAS that NumPy computes with, and for which processors its kernels are."""
    found = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return ", ".join(f"{pool['internal_api']} {pool.get('architecture', '')}".strip() for pool in found)


# ---------------------------------------------------------------------------------------------------------- models


def shape(size: Size) -> dict[str, Any]:
    """What all configurations say of a size; nothing is dropped out."""
    return {name: getattr(size, name) for name in ("vocab_size", "context", "width", "layers", "heads")}


def gpt(size: Size) -> GPT:
    """GPT-2's kind: pre-norm, tied head."""
    return GPT(GPTConfig(**shape(size)))


def restless(size: Size) -> GPT:
    """A GPT with weights so large that its texts wander instead of repeating one token: a wrong cache shows in them."""
    model = gpt(size)
    weights = model.state_dict()
    large = {name for name, a in weights.items() if a.ndim == 2} - {"token_embedding.weight"} | {"final_norm.weight"}
    model.load_state_dict({name: 8 * a if name in large else a for name, a in weights.items()})
    return model


MODELS: dict[str, Callable[[Size], Any]] = {
    "training": gpt,
    "bert": lambda size: BertForPreTraining(BertConfig(**shape(size))),
    "finetuning": lambda size: BertForSequenceClassification(BertConfig(**shape(size))),
    "llama": lambda size: Llama(LlamaConfig(**shape(size))),
    "generation": restless,
}


def task_loss() -> Any:
    """The objective of fine-tuning, whose module no other workload should have in its memory."""
    from minilm.transfer.objective import TaskLoss

    return TaskLoss()


OBJECTIVES: dict[str, Callable[[], Any]] = {
    "training": NextToken,
    "bert": MaskedLMAndNextSentence,
    "finetuning": task_loss,
    "llama": NextToken,
}


def initial_weights(workload: str, size: Size) -> dict[str, np.ndarray]:
    """What every engine of a workload begins with."""
    return MODELS[workload](size).state_dict()


def loaded(workload: str, size: Size, weights: str) -> Any:
    """A model with the weights of a file."""
    model = MODELS[workload](size)
    with np.load(weights) as arrays:
        model.load_state_dict(dict(arrays))
    return model


# --------------------------------------------------------------------------------------------------------- engines

Step = Callable[[Any], Any]


@contextlib.contextmanager
def training(workload: str, size: Size, weights: str, threads: int) -> Iterator[Step]:
    """Forward, backward, clipping, AdamW, and gradients forgotten."""
    model, objective = loaded(workload, size, weights), OBJECTIVES[workload]()
    optimizer = AdamW(model.named_parameters(), RATE, BETAS, EPSILON, DECAY)
    with Threads(threads) as workers:
        parallel = DataParallel(model, optimizer.flat, workers)

        def step(batch: dict[str, np.ndarray]) -> float:
            loss, _ = parallel.gradients(objective, batch, accumulation=1, key=(0,))
            clip_by_global_norm(optimizer.parameters, CLIP)
            optimizer.step(threads=workers)
            optimizer.zero_grad()
            return loss

        yield step


@contextlib.contextmanager
def generation(size: Size, weights: str, threads: int) -> Iterator[Step]:
    """A whole context of the most probable tokens after prompts (B, 1), with a cache."""
    model = loaded("generation", size, weights)
    with Threads(threads):
        yield lambda prompts: timed(prompts, stream(model, prompts, size.context, temperature=0))


def timed(prompts: np.ndarray, tokens: Iterator[Any]) -> dict[str, list]:
    """The texts, and the seconds that each new token took."""
    columns, times = [prompts[:, 0]], [time.perf_counter()]
    for new in tokens:
        times.append(time.perf_counter())
        columns.append(new)
    return {"texts": np.stack(columns, axis=1).tolist(), "seconds": np.diff(times).tolist()}


@contextlib.contextmanager
def attention(size: Size, weights: str, threads: int) -> Iterator[Step]:
    """Of the generation of `prompts`, only what grows with the position: every layer's attention to its cache."""
    K, rng = size.width // size.heads, np.random.default_rng(0)

    def step(prompts: np.ndarray) -> dict[str, list | None]:
        of = (len(prompts), size.heads, size.context, K)
        caches = [rng.standard_normal((2, *of), np.float32) for _ in range(size.layers)]
        query, times = np.ones((*of[:2], 1, K), np.float32), [time.perf_counter()]
        for read in range(1, size.context + 1):
            for keys, values in caches:
                F.attention(query, keys[:, :, :read], values[:, :, :read], causal=True)
            times.append(time.perf_counter())
        return {"texts": None, "seconds": np.diff(times).tolist()}

    with Threads(threads):
        yield step


def _generating(size: Size, weights: str, threads: int, only_attention: bool = False) -> Any:
    return (attention if only_attention else generation)(size, weights, threads)


ENGINES = {
    **{workload: functools.partial(training, workload) for workload in OBJECTIVES},
    "generation": _generating,
}
