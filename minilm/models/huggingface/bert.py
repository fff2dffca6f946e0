"""BERT as Hugging Face publishes it, alone and with the heads that it is pretrained and fine-tuned with.

Their linear layers are PyTorch's, (out, in), so ours are their transposes; query, key and value stand side by side in
our one matrix. Two things differ where padding is misused: theirs never learns the embedding of pad_token_id, even
where it is no padding; and in question answering theirs lets padding be an answer.
"""

from collections.abc import Callable, Mapping
from typing import Any

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.bert import Bert, BertConfig, BertForPreTraining
from minilm.models.heads import (
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minilm.models.huggingface.settings import Settings, their_activation
from minilm.models.huggingface.tables import Family, Weight, layers, linear, same

_HEADS: dict[str, type] = {
    "BertForSequenceClassification": BertForSequenceClassification,
    "BertForTokenClassification": BertForTokenClassification,
    "BertForQuestionAnswering": BertForQuestionAnswering,
    "BertForMultipleChoice": BertForMultipleChoice,
}
_LABELLED = (BertForSequenceClassification, BertForTokenClassification)


# ------------------------------------------------------------------------------------------------------------ weights


def weights(model: Any) -> list[Weight]:
    """Ours = theirs: the encoder, which stands at `bert.` in a model with a head, and the head."""
    if isinstance(model, Bert):
        return _encoder(model, "")
    return [*_encoder(model.bert, "bert."), *_head(model)]


def _encoder(bert: Bert, at: str) -> list[Weight]:
    embeddings, layer = f"{at}embeddings", at + "encoder.layer.{i}"
    self_attention = f"{layer}.attention.self"
    block = [
        *linear(
            at + "blocks.{i}.attention.qkv",
            f"{self_attention}.query",
            f"{self_attention}.key",
            f"{self_attention}.value",
        ),
        *linear(at + "blocks.{i}.attention.out", f"{layer}.attention.output.dense"),
        *same(at + "blocks.{i}.norm1", f"{layer}.attention.output.LayerNorm"),
        *linear(at + "blocks.{i}.mlp.up", f"{layer}.intermediate.dense"),
        *linear(at + "blocks.{i}.mlp.down", f"{layer}.output.dense"),
        *same(at + "blocks.{i}.norm2", f"{layer}.output.LayerNorm"),
    ]
    return [
        *same(f"{at}token_embedding", f"{embeddings}.word_embeddings", "weight"),
        *same(f"{at}segment_embedding", f"{embeddings}.token_type_embeddings", "weight"),
        *same(f"{at}position_embedding", f"{embeddings}.position_embeddings", "weight"),
        *same(f"{at}embedding_norm", f"{embeddings}.LayerNorm"),
        *layers(bert.config.layers, block),
        *(linear(f"{at}pooler", f"{at}pooler.dense") if bert.pooler else []),
    ]


def _head(model: Any) -> list[Weight]:
    if isinstance(model, BertForPreTraining):
        words = "cls.predictions"
        return [
            *linear("dense", f"{words}.transform.dense"),
            *same("norm", f"{words}.transform.LayerNorm"),
            Weight("bias", (f"{words}.bias" if model.config.tied else f"{words}.decoder.bias",)),
            *([] if model.config.tied else linear("decoder", f"{words}.decoder", bias=False)),
            *(linear("next_sentence", "cls.seq_relationship") if model.next_sentence else []),
        ]
    return linear("classifier", "qa_outputs" if isinstance(model, BertForQuestionAnswering) else "classifier")


def copies(model: Any) -> dict[str, str]:
    """The decoder of a tied head, which older files hold once more."""
    if not isinstance(model, BertForPreTraining) or not model.config.tied:
        return {}
    words = "cls.predictions"
    return {
        f"{words}.decoder.weight": "bert.embeddings.word_embeddings.weight",
        f"{words}.decoder.bias": f"{words}.bias",
    }


def spare(model: Any) -> dict[str, str]:
    """An untied decoder has a bias of its own, and theirs still carries the other."""
    untied = isinstance(model, BertForPreTraining) and not model.config.tied
    return {"cls.predictions.bias": "cls.predictions.decoder.bias"} if untied else {}


# ----------------------------------------------------------------------------------------------------------- settings


def read_config(settings: Settings) -> BertConfig:
    """Their settings -> ours; the defaults are theirs."""
    settings.require("position_embedding_type", "absolute")
    return BertConfig(
        vocab_size=settings.take("vocab_size", 30522),
        context=settings.take("max_position_embeddings", 512),
        width=settings.take("hidden_size", 768),
        layers=settings.take("num_hidden_layers", 12),
        heads=settings.take("num_attention_heads", 12),
        mlp_width=settings.take("intermediate_size", 3072),
        dropout=settings.take("hidden_dropout_prob", 0.1),
        attention_dropout=settings.take("attention_probs_dropout_prob", 0.1),
        classifier_dropout=settings.take("classifier_dropout", None),
        epsilon=settings.take("layer_norm_eps", 1e-12),
        activation=settings.activation("hidden_act", "gelu"),
        segments=settings.take("type_vocab_size", 2),
        initial_std=settings.take("initializer_range", 0.02),
        tied=settings.take("tie_word_embeddings", True),
    )


def write_config(model: Any) -> dict[str, Any]:
    """Our settings -> theirs."""
    c = model.config
    if c.causal:
        raise ConfigError(tr("a published BERT reads both ways: one with causal=True cannot be saved for Hugging Face"))
    return {
        "vocab_size": c.vocab_size,
        "max_position_embeddings": c.context,
        "hidden_size": c.width,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "intermediate_size": c.mlp_width,
        "hidden_dropout_prob": c.dropout,
        "attention_probs_dropout_prob": c.dropout if c.attention_dropout is None else c.attention_dropout,
        "classifier_dropout": c.classifier_dropout,
        "layer_norm_eps": c.epsilon,
        "hidden_act": their_activation(c.activation),
        "type_vocab_size": c.segments,
        "initializer_range": c.initial_std,
        "tie_word_embeddings": c.tied,
        "pad_token_id": None,  # theirs without a word is 0, which is never learned
        **(_labels(model.classifier.weight.shape[1]) if isinstance(model, _LABELLED) else {}),
    }


def _labels(classes: int) -> dict[str, Any]:
    names = [f"LABEL_{i}" for i in range(classes)]
    return {"id2label": {str(i): n for i, n in enumerate(names)}, "label2id": {n: i for i, n in enumerate(names)}}


def _classes(published: Mapping[str, Any]) -> int:
    """How many labels there are; 2, their default, if nothing says so."""
    labels, count = published.get("id2label"), published.get("num_labels")
    if labels is not None and count is not None and len(labels) != count:
        raise ConfigError(tr("id2label names {got} labels, num_labels is {wanted}", got=len(labels), wanted=count))
    return count or (len(labels) if labels else 2)


def _check_problem(classes: int, problem: Any) -> None:
    """ConfigError unless the loss is that of our head: one label's, or of one number."""
    if problem is not None and problem != ("regression" if classes == 1 else "single_label_classification"):
        raise ConfigError(
            tr("problem_type is {got!r} with {n} labels; minilm builds classification with one label, or regression of "
               "one number", got=problem, n=classes)
        )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- family


def _make_encoder(config: BertConfig, published: Mapping[str, Any], arrays: Mapping[str, Any]) -> Any:
    return Bert(config, pooler="pooler.dense.weight" in arrays)


def _make_pretraining(
    config: BertConfig, published: Mapping[str, Any], arrays: Mapping[str, Any]
) -> BertForPreTraining:
    """With the next-sentence head where the folder has one, as those called BertForMaskedLM may."""
    return BertForPreTraining(config, next_sentence="cls.seq_relationship.weight" in arrays)


def _maker(name: str) -> Callable[..., Any]:
    head = _HEADS[name]

    def make(config: BertConfig, published: Mapping[str, Any], arrays: Mapping[str, Any]) -> Any:
        classes = _classes(published)
        if head is BertForQuestionAnswering and classes != 2:
            raise ConfigError(tr("num_labels is {got}; a span has 2, its start and its end", got=classes))
        if head not in _LABELLED:
            return head(config)
        if head is BertForSequenceClassification:
            _check_problem(classes, published.get("problem_type"))
        return head(config, classes)

    return make


def _published_as(model: Any) -> str | None:
    if isinstance(model, BertForPreTraining):
        return "BertForPreTraining" if model.next_sentence else "BertForMaskedLM"
    if isinstance(model, Bert):
        return "BertModel"
    return next((name for name, kind in _HEADS.items() if type(model) is kind), None)


BERT = Family(
    model_type="bert",
    architectures={
        "BertModel": _make_encoder,
        "BertForPreTraining": _make_pretraining,
        "BertForMaskedLM": _make_pretraining,
        **{name: _maker(name) for name in _HEADS},
    },
    architecture_of=_published_as,
    read_config=read_config,
    write_config=write_config,
    weights=weights,
    prefix="bert.",
    older={"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"},
    copies=copies,
    spare=spare,
    buffers=(r"embeddings\.(position_ids|token_type_ids)",),  # 0, 1, 2, …, and all 0
    unread=(r"pooler\.dense\.(weight|bias)", r"cls\..*"),  # what pretraining left and this architecture has no use for
)
