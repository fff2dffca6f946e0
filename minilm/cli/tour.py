"""`minilm tour`: the main job from end to end. A GPT learns real text, beside n-grams; then it writes."""

from pathlib import Path
from typing import Any

import typer

from minilm.i18n import tr

PROMPTS = ("The ", "A class definition ", "If the ")


def tour(
    out: Path = typer.Option(None, help=tr("The run folder to make; runs/tour if not given.")),
    threads: int = typer.Option(0, min=0, help=tr("Threads over the batch; 0: one a physical core.")),
    steps: int = typer.Option(None, min=1, help=tr("Number of updates, to shorten the tour.")),
) -> None:
    from minilm.cli.pretrain import describe, recipe_of, show_ladder
    from minilm.pretraining import Pretraining, free_folder
    from minilm.training.log import read_log

    folder = out or free_folder(Path("runs") / "tour")
    recipe = recipe_of("tour", {} if steps is None else {"steps": steps})
    pretraining = Pretraining.start("pydocs", recipe, folder)
    run = pretraining.run
    assert run is not None
    heading(tr("1. A GPT made of nothing but NumPy reads the documentation of Python"))
    trainer = pretraining.trainer(threads, callback=Sampler(pretraining))
    describe(pretraining, trainer)
    trainer.train()

    heading(tr("2. What it has learned, beside models that only count"))
    loss = pretraining.final_loss(trainer)
    rows = pretraining.ngrams()
    show_ladder(pretraining, rows, loss)

    heading(tr("3. What it writes"))
    texts = [write(pretraining, trainer.model, prompt, seed=i) for i, prompt in enumerate(PROMPTS)]
    samples = folder / "samples.txt"
    samples.write_text("\n\n".join(texts) + "\n", encoding="utf-8")

    heading(tr("4. Where everything lies"))
    pictures = draw(pretraining, trainer, read_log(run.log), rows, loss)
    places = [
        (tr("the run"), folder),
        (tr("loss curve"), pictures[0]),
        (tr("attention map"), pictures[1]),
        (tr("what it wrote"), samples),
        (tr("log, a line a record"), run.log),
        (tr("weights"), run.latest()),
    ]
    for what, path in places:
        typer.echo(f"  {what}: {path}")
    heading(tr("What to try next"))
    for what, command in (
        (tr("let it go on writing"), f'minilm generate {folder} "The module " --temperature 0.8'),
        (tr("train one that beats every n-gram (under half an hour)"), "minilm pretrain gpt --config small"),
        (tr("train on your own text"), "minilm pretrain gpt --data FILE_OR_FOLDER --config tour"),
        (tr("see what this machine has"), "minilm doctor"),
    ):
        typer.echo(f"  {what}:\n      {command}")


def heading(text: str) -> None:
    typer.echo("")
    typer.secho(text, bold=True)


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


def draw(
    pretraining: Any, trainer: Any, records: list[dict[str, Any]], rows: list[dict[str, Any]], loss: float
) -> tuple[Path, Path]:
    """The loss curve and the attention map of the first block, in the run folder."""
    from minilm.models.gpt import attention_weights
    from minilm.plots import attention_map, loss_curve

    folder, tokenizer = pretraining.run.folder, pretraining.tokenizer
    title = tr("A GPT of {n:,} parameters on {name}", n=trainer.model.num_parameters(), name=pretraining.corpus.name)
    bits = pretraining.bits_per_byte
    curve = loss_curve(folder / "loss.png", records, rows, bits, bits(loss), title)
    ids = pretraining.validation_ids[:40]
    weights = attention_weights(trainer.model, ids)
    layer = len(weights) // 2
    labels = [tokenizer.decode([i]) for i in ids]
    title = tr("What each position reads (block {n} of {of})", n=layer + 1, of=len(weights))
    return curve, attention_map(folder / "attention.png", weights[layer], labels, title)
