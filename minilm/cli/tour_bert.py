"""The tour's second half: a BERT learns a little world, fills masks beside what can be known, and learns a task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from minilm.cli.tour import Places, heading, shortened, trained
from minilm.i18n import language, ntr, tr

LABELS, SEEDS, UPDATES = 64, 3, 150  # of the task: labelled sentences, runs of each arm, updates of a run
DEV, TEST = 200, 500
GUESSED = 60  # words that are hidden in new documents


def second_half(tour: Path, threads: int, steps: int | None) -> Places:
    """Train, fill and fine-tune in the folder `tour`; what lies where."""
    from minilm.mundito import MunditoConfig
    from minilm.pretraining import BERT_RECIPES

    heading(tr("4. A BERT reads Mundito, a little world in which the probability of every word is known"))
    world = MunditoConfig(language=language() if language() in ("en", "es") else "en")
    pretraining, trainer = trained(world, shortened(BERT_RECIPES["tour"], steps), tour / "bert", threads)

    heading(tr("5. How it fills masks, beside what can be known"))
    places = [(tr("the BERT's run"), tour / "bert"), *fill(pretraining, trainer.model)]

    heading(tr("6. What pretraining brings to a task with {n} labelled sentences", n=LABELS))
    return places + task(tour / "bert", tour / "sentiment", steps)


# ----------------------------------------------------------------------------------------------------------- masks


class Masked(NamedTuple):
    """A text with a hidden word: what is asked for, its ids with [MASK] in it, the model's and the source's
    distributions (V,) of the word."""

    what: str
    ids: list[int]
    guessed: Any
    truth: Any


def fill(pretraining: Any, model: Any) -> Places:
    """Show what the model makes of chosen texts and how it does in new ones; draw that, and the curve of its loss."""
    from minilm.cli.reports import show_fill
    from minilm.filling import best
    from minilm.plots import filled_masks, masked_curve
    from minilm.training.log import read_log

    folder, tokenizer = pretraining.run.folder, pretraining.tokenizer
    shown = chosen(pretraining, model)
    for text in shown:
        typer.echo("")
        typer.secho(f"  {text.what}", italic=True)
        typer.echo(wrapped(tokenizer.decode(text.ids), "    "))
        show_fill(tokenizer, best(tokenizer, text.guessed, 3), text.truth)
    typer.echo("")
    typer.echo(in_new_documents(tokenizer, pretraining.guesses(model, GUESSED)))
    title = tr("A {kind} of {n:,} parameters on {name}", kind="BERT", n=model.num_parameters(), name="Mundito")
    curve = masked_curve(folder / "loss.png", read_log(pretraining.run.log), title)
    panels = [panel(tokenizer, text) for text in shown]
    guesses = filled_masks(folder / "masks.png", panels, tr("What a BERT puts behind [MASK], beside what can be known"))
    return [(tr("its loss curve"), curve), (tr("its guesses"), guesses)]


def chosen(pretraining: Any, model: Any) -> list[Masked]:
    """Texts that each ask for one thing that is to be learned, filled."""
    from minilm.filling import fill_positions
    from minilm.mundito.oracle import fill_distribution
    from minilm.text.pairs import encode_pair

    world, tokenizer, found = pretraining.source.world, pretraining.tokenizer, []
    for what, ids, place in questions(world):
        masked = [*ids[:place], world.id_of["[MASK]"], *ids[place + 1 :]]
        encoding = encode_pair(tokenizer, masked, max_length=pretraining.recipe.context)
        (guessed,) = fill_positions(model, encoding, [place + 1])
        truth = fill_distribution(world, [world.id_of["<bos>"], *masked], place + 1)
        found.append(Masked(what, masked, guessed, truth))
    return found


def questions(world: Any) -> list[tuple[str, list[int], int]]:
    """(what it asks for, a text's ids, the place of the word to hide) in words of the world."""
    from minilm.mundito.tasks import Maker

    make, lex = Maker(world, 1, "tour"), world.lexicon
    slots = make.slots()
    start = [*make.introduction(slots[0]), *make.introduction(slots[1])]
    asked = [*start, *make.question(slots[0]), *make.ids(make.coloured(slots[0].colour, slots[0].animal), lex.stop)]
    place, verb, thing = lex.places[3], lex.verbs[3], lex.objects[1]
    before_verb = make.ids(
        lex.where, lex.definite[place.gender][0], place.singular, make.the(slots[0].animal, 1),
        lex.who, lex.lives[1], lex.along, make.the(slots[1].animal),
    )  # fmt: skip
    after_verb = make.ids(lex.definite[thing.gender][0], thing.singular, lex.stop)
    name = lex.names[slots[1].name]
    feels = [*start, *make.ids(name.singular, lex.feels)]
    why = make.ids(lex.because, make.the(slots[1].animal), lex.denies)
    adjective = lex.good[0][lex.animals[slots[1].animal].gender]
    mood = lex.sad[0][name.gender]
    colour = len(make.introduction(slots[0])) - 2
    return [
        (tr("a colour that was told before"), asked, len(asked) - 2),
        (tr("a colour that is told only afterwards"), asked, colour),
        (tr("a verb that agrees with its noun, not with the nearer one"),
         [*start, *before_verb, *make.ids(verb[1]), *after_verb], len(start) + len(before_verb)),
        (tr("a mood, from its reason and a negation"),
         [*feels, *make.ids(mood), *why, *make.ids(adjective, lex.stop)], len(feels)),
    ]  # fmt: skip


def in_new_documents(tokenizer: Any, guesses: Sequence[Any]) -> str:
    """How often the most probable word is the one that stood there: the model's, and that of who knows the source."""
    from minilm.filling import best

    def right(p: str) -> int:
        return sum(best(tokenizer, getattr(guess, p), 1)[0][0] == guess.word for guess in guesses)

    return ntr(
        "Of {n} word hidden in new documents it finds {model}; who knows the source finds {source}.",
        "Of {n} words hidden in new documents it finds {model}; who knows the source finds {source}.",
        len(guesses),
        model=right("distribution"),
        source=right("truth"),
    )


def panel(tokenizer: Any, text: Masked, words: int = 4) -> Any:
    """The words that both together find most probable, as a picture shows them."""
    from minilm.filling import token_text
    from minilm.plots import FilledMask

    found = sorted(range(len(text.truth)), key=lambda i: -(text.guessed[i] + text.truth[i]))[:words]
    bars = [(token_text(tokenizer, i), float(text.guessed[i]), float(text.truth[i])) for i in found]
    return FilledMask(text.what, tokenizer.decode(text.ids), bars)


def wrapped(text: str, indent: str) -> str:
    """Lines of a text that fit the terminal, between words."""
    import shutil
    import textwrap

    width = min(100, shutil.get_terminal_size().columns)
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)


# ------------------------------------------------------------------------------------------------------------ task


def task(run: Path, folder: Path, steps: int | None) -> Places:
    """Is a sentence kind or not: fine-tuned from the pretrained model and from scratch, with paired seeds."""
    from minilm.cli.transfer import show, tell
    from minilm.transfer.comparisons import arms_of, mundito_data, world_of
    from minilm.transfer.experiment import Experiment, Plan
    from minilm.transfer.pictures import arms_bars
    from minilm.transfer.pretrained import Pretrained

    pretrained = Pretrained.open(run)
    data = mundito_data(world_of(pretrained), "sentiment", DEV, TEST)
    arms = tuple(arms_of("pretraining", pretrained.config.layers))
    updates = min(UPDATES, steps or UPDATES)
    rows = Experiment(
        {"pretrained": pretrained}, data, Plan(arms, (LABELS,), SEEDS, trials=1, steps=updates), folder
    ).run(tell)
    show(rows)
    picture = arms_bars(folder / "arms.png", rows, tr("accuracy"), tr("Sentiment of {n} labelled sentences", n=LABELS))
    return [(tr("the task's runs"), folder), (tr("with and without pretraining"), picture)]
