"""How the size that a paper prints arises from the exact one, where rounding hides it or where the two differ."""

from dataclasses import replace

from minilm.i18n import tr
from minilm.models.sizes.counting import count_parameters
from minilm.models.sizes.published import BERT, GPT2, GPT3, PUBLISHED, SMALL_BERT, resolve
from minilm.models.sizes.shape import Shape


def note(name: str) -> str:
    """What is to be known about this model's count, in the language in use; "" where there is nothing."""
    name = resolve(name)
    shape = PUBLISHED[name].shape
    if name in GPT2:
        return tr(
            "the paper's four counts, {said}, were wrong, as its authors said later: they are those of GPT-1's "
            "vocabulary of 40,478, here {n:,}",
            said=", ".join(model.said for model in GPT2.values()),
            n=count_parameters(replace(shape, vocab_size=40_478)),
        )
    if name in BERT or name in SMALL_BERT:
        said = tr(
            "counted as it is pretrained; without its two heads it has {model:,}, without the pooler too {encoder:,}",
            model=_with(shape, "pooler"),
            encoder=_with(shape),
        )
        return said + (f"; {_tens()}" if name in BERT else "")
    if name.startswith("t5-v1.1"):
        return tr("released without a paper of its own: a gate in the MLP, and a head that is not the embedding")
    return _single(shape).get(name) or (_gpt3() if name in GPT3 else "")


def _with(shape: Shape, *on_top: str) -> int:
    return count_parameters(replace(shape, on_top=on_top))


def _gpt3() -> str:
    return tr("table D.1 of the paper prints the same count in millions, to three or four digits")


def _tens() -> str:
    return tr("its paper rounds to tens of millions")


def _single(shape: Shape) -> dict[str, str]:
    """The notes about one model each."""
    untied = count_parameters(replace(shape, tied=False))
    masked = count_parameters(replace(shape, on_top=("masked_lm",)))
    roberta = tr("514 rows of positions, of which the first two are not for tokens; with the head that fills masks")
    albert = tr("encoder and pooler; one layer is used {layers} times", layers=shape.layers)
    electra = tr("the discriminator alone: the generator is thrown away")
    return {
        "gpt1": tr("the paper prints no size; 117M is what GPT-2's paper says of a model like it"),
        "gpt3-xl": tr("table 2.1 prints 24 heads of 128, which would be 3072 wide and not 2048: here 16 heads"),
        "gpt3-13b": tr(
            "table 2.1 prints a width of 5140, but 40 heads of 128 make 5120, and so does table D.1's 12,850 million; "
            "the width as printed: minilm sizes gpt3-13b-5140"
        ),
        "gpt3-13b-5140": tr("the width that table 2.1 prints, which its 40 heads do not divide: here 20 heads"),
        "roberta-base": roberta,
        "roberta-large": roberta,
        "distilbert": tr("the encoder; with the head that fills masks {n:,}", n=masked),
        "albert-base": albert,
        "albert-large": albert,
        "albert-xlarge": albert,
        "albert-xxlarge": albert + "; " + tr("what the paper counts to reach 235M we could not find"),
        "electra-small": electra,
        "electra-base": electra,
        "electra-large": electra,
        "t5-small": _tens(),
        "t5-base": _tens(),
        "t5-large": tr("770M would be with a head of its own, {n:,}; as released the head is the embedding", n=untied),
        "llama-33b": tr("named 33B, printed as 32.5B"),
        "llama-65b": tr("65.2B is cut off, not rounded"),
        "llama3.2-1b": tr("1B and 3B are names; the head is the token embedding"),
        "llama3.2-3b": tr("1B and 3B are names; the head is the token embedding"),
        "llama2-70b": tr("64 query heads share 8 heads of keys and values"),
        "llama3.1-405b": tr("as released for transformers: 8 heads of keys and values"),
        "mistral-7b": tr("its attention reads 4,096 tokens back, in windows that slide"),
    }
