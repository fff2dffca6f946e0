"""A model for a task: a pretrained body, or a part of it, under the task's own head; frozen as far as asked for."""

from collections.abc import Callable
from typing import Any

from minilm.models.gpt_heads import (
    GPTForMultipleChoice,
    GPTForQuestionAnswering,
    GPTForSequenceClassification,
    GPTForTokenClassification,
)
from minilm.models.heads import (
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minilm.transfer.examples import Task
from minilm.transfer.inputs import BertReader, GPTReader, Reader, TaskTokens
from minilm.transfer.pretrained import Layers, Pretrained, check_layers, in_first, take_over

_HEADS: dict[tuple[str, str], Callable[..., Any]] = {
    ("gpt", "classify"): GPTForSequenceClassification,
    ("gpt", "regress"): GPTForSequenceClassification,
    ("gpt", "tag"): GPTForTokenClassification,
    ("gpt", "spans"): GPTForQuestionAnswering,
    ("gpt", "choice"): GPTForMultipleChoice,
    ("bert", "classify"): BertForSequenceClassification,
    ("bert", "regress"): BertForSequenceClassification,
    ("bert", "tag"): BertForTokenClassification,
    ("bert", "spans"): BertForQuestionAnswering,
    ("bert", "choice"): BertForMultipleChoice,
}


def reader_of(pretrained: Pretrained, max_length: int | None = None) -> Reader:
    """What makes the rows that this kind of model reads, up to its context or to max_length."""
    length = min(max_length or pretrained.config.context, pretrained.config.context)
    if pretrained.kind == "gpt":
        return GPTReader(TaskTokens.after(pretrained.config.vocab_size, pretrained.tokenizer), length)
    return BertReader(pretrained.tokenizer, length)


def bare_model(pretrained: Pretrained, task: Task, seed: int = 0) -> Any:
    """A model for the task of the same size as the pretrained one, everything as drawn from the seed."""
    config = pretrained.config
    if pretrained.kind == "gpt":
        config = pretrained.grown_config(TaskTokens.after(config.vocab_size, pretrained.tokenizer).added)
    classes = {"classify": len(task.labels), "tag": len(task.labels), "regress": 1}.get(task.kind)
    head = _HEADS[pretrained.kind, task.kind]
    return head(config, seed=seed) if classes is None else head(config, classes, seed=seed)


def body_of(model: Any) -> Any:
    """The GPT or Bert below a task's head."""
    return model.gpt if hasattr(model, "gpt") else model.bert


def make_model(pretrained: Pretrained, task: Task, seed: int = 0, layers: Layers = "all", frozen: Layers = None) -> Any:
    """The same with `layers` of the body taken over, and `frozen` of it not to be learned: None, nothing; 0, the
    embeddings; n, these and the first n blocks; "all", the whole body, so that only the head learns."""
    model = bare_model(pretrained, task, seed)
    if layers is not None:
        take_over(body_of(model), pretrained, layers)
    freeze(body_of(model), frozen)
    return model


def freeze(body: Any, layers: Layers) -> None:
    """Freeze the embeddings (0), these and the first n blocks (n), or all of a body ("all")."""
    check_layers(layers, len(body.blocks))
    for name, parameter in body.named_parameters():
        if layers == "all" or (isinstance(layers, int) and in_first(name, layers)):
            parameter.requires_grad, parameter.grad = False, None
