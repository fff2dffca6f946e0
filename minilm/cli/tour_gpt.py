"""The tour's first half: a GPT learns real text, is set beside n-grams, and writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from minilm.cli.tour import Places, heading, shortened, trained
from minilm.i18n import tr

TEXT = "pydocs"
PROMPTS = ("The ", "A class definition ", "If the ")


def first_half(tour: Path, threads: int, steps: int | None) -> Places:
    """Train, compare and write in the folder `tour`; what lies where."""
    from minilm.cli.reports import show_ladder
    from minilm.pretraining import RECIPES

    heading(tr("1. A GPT made of nothing but NumPy reads the documentation of Python"))
    folder = tour / "gpt"
    pretraining, trainer = trained(TEXT, shortened(RECIPES["tour"], steps), folder, threads, Sampler)

    heading(tr("2. What it has learned, beside models that only count"))
    loss = pretraining.final_loss(trainer)
    rows = pretraining.ngrams()
    show_ladder(pretraining, rows, loss)

    heading(tr("3. What it writes"))
    texts = [write(pretraining, trainer.model, prompt, seed=i) for i, prompt in enumerate(PROMPTS)]
    samples = folder / "samples.txt"
    samples.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    curve, attention = draw(pretraining, trainer, rows, loss)
    return [
        (tr("the GPT's run"), folder),
        (tr("its loss curve"), curve),
        (tr("its attention map"), attention),
        (tr("what it wrote"), samples),
    ]


class Sampler:
    """During training, every few evaluations, a line of what the model would write now."""

    def __init__(self, pretraining: Any, every: int = 3):
        self.pretraining, self.every, self.count = pretraining, every, 0

    def __call__(self, trainer: Any, record: dict[str, Any]) -> str | None:
        if "validation_loss" not in record:
            return None
        self.count += 1
        if self.count % self.every != 1:
            return None
        from minilm.generation import generate

        tokenizer = self.pretraining.tokenizer
        ids = generate(trainer.model, tokenizer.encode("The "), 60, temperature=0.8, seed=record["step"])
        text = tokenizer.decode(ids).replace("\n", " ")
        return tr("  at step {step} it writes: {text}", step=record["step"], text=text)


def write(pretraining: Any, model: Any, prompt: str, seed: int, tokens: int = 200) -> str:
    """Print a continuation as it is made, and return it with its prompt."""
    from minilm.generation import stream_text

    typer.secho(f"  > {prompt}", nl=False, bold=True)
    text = prompt
    for piece in stream_text(model, pretraining.tokenizer, prompt, tokens, temperature=0.7, seed=seed):
        text += piece
        typer.echo(piece.replace("\n", "\n    "), nl=False)
    typer.echo("\n")
    return text


def draw(pretraining: Any, trainer: Any, rows: Sequence[dict[str, Any]], loss: float) -> tuple[Path, Path]:
    """The loss curve, and the attention map of a block in the middle, in the run folder."""
    from minilm.models.gpt import attention_weights
    from minilm.plots import attention_map, loss_curve
    from minilm.training.log import read_log

    folder, tokenizer = pretraining.run.folder, pretraining.tokenizer
    title = tr("A GPT of {n:,} parameters on {name}", n=trainer.model.num_parameters(), name=pretraining.corpus.name)
    bits, records = pretraining.bits_per_byte, read_log(pretraining.run.log)
    curve = loss_curve(folder / "loss.png", records, rows, bits, bits(loss), title)
    ids = pretraining.validation_ids[:40]
    weights = attention_weights(trainer.model, ids)
    layer = len(weights) // 2
    labels = [tokenizer.decode([i]) for i in ids]
    title = tr("What each position reads (block {n} of {of})", n=layer + 1, of=len(weights))
    return curve, attention_map(folder / "attention.png", weights[layer], labels, title)
