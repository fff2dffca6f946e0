"""PyTorch at work: eager as it comes, with explicit attention, with the fused one of its AdamWs, or compiled."""

import contextlib
import functools
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from batches import with_places
from recipe import BETAS, CLIP, DECAY, EPSILON, RATE, Unavailable
from sizes import Size
from torch_models import Cache, TorchBertForClassification, TorchBertForPreTraining, TorchGPT, TorchLlama

MODELS = {
    "training": TorchGPT,
    "bert": TorchBertForPreTraining,
    "finetuning": TorchBertForClassification,
    "llama": TorchLlama,
}


def kernels() -> str:
    """Its version, and for which processors its kernels are."""
    return f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}"


@contextlib.contextmanager
def training(
    workload: str,
    size: Size,
    weights: str,
    threads: int,
    explicit: bool = False,
    compiled: bool = False,
    fused: bool | None = None,
) -> Iterator[Callable[..., float]]:
    """compiled: the model and its loss by torch.compile, with inductor. fused: AdamW's own fused kernel."""
    if compiled and not shutil.which("g++"):
        raise Unavailable("torch.compile needs g++, and there is none on this machine")
    torch.set_num_threads(threads)
    with np.load(weights) as arrays:
        model = MODELS[workload](size, arrays, explicit)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=EPSILON, fused=fused)
    loss_of = torch.compile(model.loss) if compiled else model.loss

    def step(batch: dict[str, np.ndarray]) -> float:
        loss = loss_of({name: torch.from_numpy(array) for name, array in with_places(batch).items()})
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    yield step


@contextlib.contextmanager
def generation(size: Size, weights: str, threads: int) -> Iterator[Callable[[np.ndarray], dict[str, list]]]:
    """A whole context of the most probable tokens after prompts (B, 1), with a cache that was taken at once."""
    torch.set_num_threads(threads)
    with np.load(weights) as arrays:
        model = TorchGPT(size, arrays).eval()

    @torch.inference_mode()
    def step(prompts: np.ndarray) -> dict[str, Any]:
        times = [time.perf_counter()]
        cache, new = Cache(size, len(prompts)), torch.from_numpy(prompts)
        columns = [new]
        for _ in range(size.context):
            new = model(new, cache).argmax(-1)  # (B, 1)
            columns.append(new)
            times.append(time.perf_counter())
        return {"texts": torch.cat(columns, dim=1).tolist(), "seconds": np.diff(times).tolist()}

    yield step


ENGINES = {
    **{workload: functools.partial(training, workload) for workload in MODELS},
    "generation": generation,
}
