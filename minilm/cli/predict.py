"""`minilm predict`: a fine-tuned model answers for a file of texts, or for one that is typed."""

from pathlib import Path

import typer

from minilm.i18n import ntr, tr


def predict(
    folder: Path = typer.Argument(help=tr("A folder that minilm finetune made."), metavar="FOLDER"),
    what: str = typer.Argument(
        help=tr("A .csv, .tsv or .jsonl file with named columns, or a text."), metavar="FILE_OR_TEXT"
    ),
    second: str = typer.Option("", help=tr("For one text: a pair's other text, or the question.")),
    choice: list[str] = typer.Option([], help=tr("For one text: a choice; give the option once for each.")),
    out: Path = typer.Option(None, help=tr("The file of predictions; FILE-predictions.csv if not given.")),
) -> None:
    from minilm.transfer.folder import load
    from minilm.transfer.tables import FORMATS, read_table
    from minilm.transfer.workflow import one_text, predict_table, write_predictions

    found, path = load(folder), Path(what)
    if path.suffix.lower() in FORMATS and " " not in what:
        rows, answers = predict_table(found, read_table(path), typer.echo)
        target = out or path.with_name(f"{path.stem}-predictions.csv")
        write_predictions(target, found.texts, rows, answers)
        typer.echo(ntr("{n} prediction: {path}", "{n} predictions: {path}", len(answers), path=target))
        return
    rows, answers = predict_table(found, one_text(found, what, second, choice), typer.echo)
    said, p = found.texts.said(answers[0].label, rows.places[0]), answers[0].p
    if found.texts.what == "tag":
        typer.echo("\n".join(f"{word}\t{tag}" for word, tag in zip(rows.places[0][0], said, strict=True)))
        return
    typer.echo(tr("(no answer)") if said == "" else str(said))
    if p is not None:
        names = found.texts.task.labels or rows.places[0]
        for name, share in sorted(zip(names, p, strict=True), key=lambda pair: -pair[1]):
            typer.echo(f"  {share:6.1%}  {name}")
