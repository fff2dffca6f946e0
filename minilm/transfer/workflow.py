"""Fine-tuning on a user's files from end to end: read, check, train, choose, save, predict, draw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilm.errors import ConfigError, DataError
from minilm.i18n import ntr, tr
from minilm.transfer import metrics
from minilm.transfer.examples import Task
from minilm.transfer.finetuning import Chosen, FineTuning, choose_rate
from minilm.transfer.folder import FineTuned, new_folder, save
from minilm.transfer.inputs import Encoded, encode, is_lost
from minilm.transfer.models import make_model, reader_of
from minilm.transfer.pictures import confusion_matrix
from minilm.transfer.predicting import Answer, answers
from minilm.transfer.pretrained import Layers, Pretrained
from minilm.transfer.tables import Table, read_table, write_csv
from minilm.transfer.texts import Columns, Labelled, TextTask, check_same_labels, labels_of, shortened

Tell = Callable[[str], None]
PREDICTIONS, PICTURE = "predictions.csv", "confusion.png"


@dataclass(frozen=True)
class Request:
    """What a user asks for: a task (of texts.WHAT) on two files, and how to fine-tune. rates: to try; none: by the
    model's width. layers, frozen: see models.make_model. max_length: of a row, at most the context."""

    what: str
    train: Path
    dev: Path
    columns: Columns
    settings: FineTuning
    rates: Sequence[float] = ()
    labels: Sequence[str] = ()
    symmetric: bool = False
    layers: Layers = "all"
    frozen: Layers = None
    max_length: int | None = None


def default_rates(width: int) -> tuple[float, ...]:
    """The papers' rates for their sizes (Devlin et al. 2019, section A.3), higher ones for smaller models."""
    return (2e-5, 5e-5) if width >= 512 else (2e-4, 5e-4) if width >= 192 else (1e-3, 3e-3)


def run(pretrained: Pretrained, request: Request, out: Path, tell: Tell = print, show: bool = True) -> Chosen:
    """Fine-tune, choose the rate on the development file, and write the model, the predictions for that file and, for
    classes, a confusion matrix to the folder `out`."""
    new_folder(out)
    texts, train, dev = _read(pretrained, request, tell)
    reader = reader_of(pretrained, request.max_length)
    _say_truncated(tell, request.dev, [encode(reader, texts.task, e) for e in dev.examples])
    _say_truncated(tell, request.train, [encode(reader, texts.task, e) for e in train.examples])
    chosen = choose_rate(
        lambda: make_model(pretrained, texts.task, request.settings.seed, request.layers, request.frozen),
        reader,
        texts.task,
        train.examples,
        dev.examples,
        request.rates or default_rates(pretrained.config.width),
        request.settings,
        show,
        lambda rate, scores: tell(tr("rate {rate:g}: {scores}", rate=rate, scores=in_words(scores))),
    )
    facts = {"rate": chosen.settings.rate, "dev": chosen.scores, "max_length": reader.max_length}
    save(out, chosen.model, pretrained, texts, facts)
    found = answers(chosen.model, reader, texts.task, [encode(reader, texts.task, e) for e in dev.examples])
    write_predictions(out / PREDICTIONS, texts, dev, found)
    if request.what in ("classify", "pair"):
        counts = metrics.confusion(
            [e.label for e in dev.examples], [a.label for a in found], range(len(texts.task.labels))
        )
        confusion_matrix(out / PICTURE, counts, texts.task.labels, tr("{file}: what was taken for what",
                                                                      file=request.dev.name))  # fmt: skip
    return chosen


def _read(pretrained: Pretrained, request: Request, tell: Tell) -> tuple[TextTask, Labelled, Labelled]:
    """The task and both files as examples; every fault of the files is found before anything is trained."""
    what, columns = request.what, request.columns
    tables = read_table(request.train), read_table(request.dev)
    labels = labels_of(tables[0], what, columns, request.labels)
    if missing := check_same_labels(*tables, labels, what, columns):
        tell(tr("{dev} has no example of {labels}, so these are learned but not measured", dev=request.dev,
                labels=shortened(missing)))  # fmt: skip
    kind = "classify" if what == "pair" else what
    no_answer = what == "spans" and any(_is_empty(r.values.get(columns.label)) for r in tables[0].records)
    if request.symmetric and what not in ("pair", "regress"):
        raise ConfigError(tr("symmetric: only pairs of texts can be; the task is {what}", what=what))
    task = Task(kind, labels, symmetric=request.symmetric, no_answer=no_answer)
    texts = TextTask(what, task, columns, pretrained.tokenizer, by_last=pretrained.kind == "gpt")
    return texts, texts.read(tables[0]), texts.read(tables[1])


def _is_empty(value: Any) -> bool:
    return value is None or value == ""


def _say_truncated(tell: Tell, path: Path, encoded: Sequence[Encoded]) -> None:
    """How many texts were longer than the model can read, and what became of them."""
    cut = [e.truncated for e in encoded if e.truncated]
    if cut:
        tell(
            ntr(
                "{path}: {n} text is longer than the model can read and was cut off ({tokens} tokens left out)",
                "{path}: {n} texts are longer than the model can read and were cut off ({tokens} tokens left out)",
                len(cut),
                path=path,
                tokens=sum(cut),
            )
        )
    if windows := [len(e.windows) for e in encoded if e.more]:
        tell(
            ntr(
                "{path}: {n} passage is longer than the model can read at once, so it is read in {windows} windows "
                "that overlap by half",
                "{path}: {n} passages are longer than the model can read at once, so they are read in windows that "
                "overlap by half, {windows} in all",
                len(windows),
                path=path,
                windows=sum(windows),
            )
        )
    if lost := sum(map(is_lost, encoded)):
        tell(
            ntr(
                "{path}: {n} answer is longer than what the model can read at once; it is not learned from",
                "{path}: {n} answers are longer than what the model can read at once; they are not learned from",
                lost,
                path=path,
            )
        )


def in_words(scores: dict[str, float]) -> str:
    """accuracy .912, f1 .904, with the names of the measures as the field has them."""
    return ", ".join(f"{name} {value:.3f}" for name, value in scores.items())


# ------------------------------------------------------------------------------------------------------- predictions


def predict_table(found: FineTuned, table: Table, tell: Tell = print) -> tuple[Labelled, list[Answer]]:
    """The answers to the rows of a table, which need no label."""
    rows = found.texts.read(table, labelled=False)
    encoded = [encode(found.reader, found.texts.task, e) for e in rows.examples]
    _say_truncated(tell, table.path, encoded)
    return rows, answers(found.model, found.reader, found.texts.task, encoded)


def write_predictions(path: Path, texts: TextTask, rows: Labelled, found: Sequence[Answer]) -> None:
    """A CSV with the columns of the file, `prediction`, and the probability of each class where there are classes."""
    given = list(dict.fromkeys(name for record in rows.records for name in record.values))
    classes = list(texts.task.labels) if texts.task.kind == "classify" else []
    columns = [*given, "prediction", *(f"p({name})" for name in classes)]
    lines = []
    for record, place, answer in zip(rows.records, rows.places, found, strict=True):
        p = [] if answer.p is None or not classes else [f"{x:.4f}" for x in answer.p]
        lines.append(
            [*(_cell(record.values.get(name, "")) for name in given), _cell(texts.said(answer.label, place)), *p]
        )
    write_csv(path, columns, lines)


def _cell(value: Any) -> Any:
    """Lists as words with spaces between."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def one_text(found: FineTuned, text: str, second: str = "", choices: Sequence[str] = ()) -> Table:
    """A table of one row from what was typed. DataError where the task needs more than that."""
    texts = found.texts
    values: dict[str, Any] = {texts.columns.text: text}
    if second:
        values[texts.columns.second] = second
    if texts.what in ("pair", "spans") and not second:
        raise DataError(tr("this model reads two texts: give the other one with --second"))
    if texts.what == "choice":
        if len(choices) < 2:
            raise DataError(tr("this model chooses: give at least two texts with --choice"))
        many = len(texts.columns.choices) > 1
        values |= dict(zip(texts.columns.choices, choices, strict=False)) if many else {
            texts.columns.choices[0]: list(choices)
        }  # fmt: skip
    from minilm.transfer.tables import Record

    return Table(Path(tr("the text")), tuple(values), [Record(values, 1)])
