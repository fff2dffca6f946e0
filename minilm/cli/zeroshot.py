"""`minilm zeroshot`: classes by the log-probability of a continuation, without any training for the task."""

from pathlib import Path
from typing import Any

import typer

from minilm.errors import ConfigError
from minilm.i18n import ntr, tr


def zeroshot(
    run: Path = typer.Argument(help=tr("A run folder of minilm pretrain gpt."), metavar="RUN"),
    data: Path = typer.Argument(help=tr("A .csv, .tsv or .jsonl file with named columns.")),
    template: str = typer.Option("{text}", help=tr("The prompt; {name} in it is where the text goes.", name="{text}")),
    answers: str = typer.Option("", help=tr("The continuations to choose from, separated by commas.")),
    classes: str = typer.Option(None, help=tr("What they stand for in the label column; themselves if not given.")),
    text_column: str = typer.Option("text", help=tr("The column of the text.")),
    label_column: str = typer.Option("label", help=tr("The column of the class, if there is one.")),
    norm: str = typer.Option(
        "sum", help=tr("sum of log-probabilities, per token, or less the prior: sum, token, prior.")
    ),
    out: Path = typer.Option(None, help=tr("The file of predictions; FILE-predictions.csv if not given.")),
) -> None:
    from minilm.transfer.pretrained import Pretrained, take_over

    pretrained = Pretrained.open(run)
    if pretrained.kind != "gpt":
        raise ConfigError(tr("{run} is a {kind}: only a language model from left to right can go on with a text",
                             run=run, kind=pretrained.kind))  # fmt: skip
    model = pretrained.body(0)
    take_over(model, pretrained, "all")
    said = [part.strip() for part in answers.split(",") if part.strip()]
    names = [part.strip() for part in classes.split(",")] if classes else said
    if len(said) < 2 or len(names) != len(said):
        raise ConfigError(
            tr("--answers has {n} continuations and --classes {m}; give at least two, and a class for each",
               n=len(said), m=len(names))
        )  # fmt: skip
    _classify(model, pretrained.tokenizer, data, template, said, names, text_column, label_column, norm, out)


def _classify(
    model: Any, tokenizer: Any, data: Path, template: str, said: list[str], names: list[str], text: str, label: str,
    norm: str, out: Path | None,
) -> None:  # fmt: skip
    from minilm.transfer.inputs import BEGINS
    from minilm.transfer.metrics import accuracy, macro_f1
    from minilm.transfer.tables import read_table, write_csv
    from minilm.transfer.zero_shot import classify

    table = read_table(data)
    begin = [tokenizer.special_tokens[b] for b in BEGINS if b in tokenizer.special_tokens]
    texts = [str(value) for value in table.column(text)]
    chosen, scores = classify(model, lambda t: begin + tokenizer.encode(t), template, texts, said, norm)
    guessed = [names[i] for i in chosen]
    if label in table.columns:
        gold = [str(value) for value in table.column(label)]
        typer.echo(tr("accuracy {a:.3f}, macro F1 {f:.3f}", a=accuracy(gold, guessed), f=macro_f1(gold, guessed)))
    target = out or data.with_name(f"{data.stem}-predictions.csv")
    columns = [*table.columns, "prediction", *(f"score({name})" for name in names)]
    write_csv(target, columns, [
        [*(record.values.get(c, "") for c in table.columns), guess, *(f"{s:.4f}" for s in row)]
        for record, guess, row in zip(table.records, guessed, scores, strict=True)
    ])  # fmt: skip
    typer.echo(ntr("{n} prediction: {path}", "{n} predictions: {path}", len(guessed), path=target))
