"""The tour's second half: a BERT learns a little world, fills masks beside what can be known, and learns a task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from minilm.cli.tour import Places, heading, shortened, trained
from minilm.i18n import language, ntr, tr

LABELS, SEEDS, UPDATES = 16, 3, 100  # of the task: labelled sentences, runs of each arm, updates of a run
DEV, TEST = 200, 300
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

    heading(tr("6. What pretraining brings to a task that is shown {n} labelled sentences", n=LABELS))
    return places + task(tour / "bert", tour / "tagging", steps)


# ----------------------------------------------------------------------------------------------------------- masks


class Masked(NamedTuple):
    """A text with a hidden word: what is asked for, its ids with [MASK] in it, which words are right, as a group and
    by their ids, and the model's and the source's distributions (V,) of the word."""

    what: str
    ids: list[int]
    group: str
    right: list[int]
    guessed: Any
    truth: Any


def fill(pretraining: Any, model: Any) -> Places:
    """Show what the model makes of chosen texts and how it does in new ones; draw that, and the curve of its loss."""
    from minilm.cli.reports import show_fill, wrapped
    from minilm.filling import best
    from minilm.plots import filled_masks, masked_curve
    from minilm.training.log import read_log

    folder, tokenizer = pretraining.run.folder, pretraining.tokenizer
    shown = chosen(pretraining, model)
    for text in shown:
        typer.echo("")
        typer.secho(text.what, italic=True)
        typer.echo(wrapped(tokenizer.decode(text.ids), "  "))
        show_fill(tokenizer, best(tokenizer, text.guessed, 3), text.truth)
        typer.echo(
            tr("{group}: model {p}, source {q}", group=text.group, p=f"{text.guessed[text.right].sum():.4f}",
               q=f"{text.truth[text.right].sum():.4f}")
        )  # fmt: skip
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
    for what, ids, place, group, right in questions(world):
        masked = [*ids[:place], world.id_of["[MASK]"], *ids[place + 1 :]]
        encoding = encode_pair(tokenizer, masked, max_length=pretraining.recipe.context)
        (guessed,) = fill_positions(model, encoding, [place + 1])
        truth = fill_distribution(world, [world.id_of["<bos>"], *masked], place + 1)
        found.append(Masked(what, masked, group, right, guessed, truth))
    return found


class Question(NamedTuple):
    """What it asks for; a text's ids, and the place of the word to hide; the right words' name and their ids."""

    what: str
    ids: list[int]
    place: int
    group: str
    right: list[int]


def questions(world: Any) -> list[Question]:
    """Texts in words of the world that each ask for something else that is to be learned."""
    from minilm.mundito.tasks import Maker

    make, lex = Maker(world, 1, "tour"), world.lexicon
    slots = make.slots()
    start = [*make.introduction(slots[0]), *make.introduction(slots[1])]
    colour = make.ids(make.coloured(slots[0].colour, slots[0].animal))
    asked = [*start, *make.question(slots[0]), *colour, *make.ids(lex.stop)]
    first, that_colour = len(make.introduction(slots[0])) - 2, (tr("that colour"), list(colour))
    place, thing = lex.places[3], lex.objects[1]
    before_verb = make.ids(
        lex.where, lex.definite[place.gender][0], place.singular, make.the(slots[0].animal, 1),
        lex.who, lex.lives[1], lex.along, make.the(slots[1].animal),
    )  # fmt: skip
    plural = make.ids(tuple(forms[1] for forms in lex.verbs))
    after_verb = make.ids(lex.definite[thing.gender][0], thing.singular, lex.stop)
    name, gender = lex.names[slots[1].name], lex.animals[slots[1].animal].gender
    feels = [*start, *make.ids(name.singular, lex.feels)]
    sad = make.ids(tuple(forms[name.gender] for forms in lex.sad))
    why = make.ids(lex.because, make.the(slots[1].animal), lex.affirms, lex.bad[0][gender], lex.stop)
    return [
        Question(tr("a colour that was told before"), asked, len(asked) - 2, *that_colour),
        Question(tr("a colour that is told only afterwards"), asked, first, *that_colour),
        Question(tr("a verb that agrees with its noun, not with the nearer one"), [*start, *before_verb, plural[3],
                 *after_verb], len(start) + len(before_verb), tr("all plural verbs"), list(plural)),
        Question(tr("a mood, from the reason given for it"), [*feels, sad[0], *why], len(feels), tr("all sad moods"),
                 list(sad)),
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
    """The right words together where there are several, and the words that both together find most probable."""
    from minilm.filling import token_text
    from minilm.plots import FilledMask

    found = sorted(range(len(text.truth)), key=lambda i: -(text.guessed[i] + text.truth[i]))[:words]
    bars = [(token_text(tokenizer, i), float(text.guessed[i]), float(text.truth[i])) for i in found]
    if len(text.right) > 1:
        group = (text.group, float(text.guessed[text.right].sum()), float(text.truth[text.right].sum()))
        bars = [group, *bars[:-1]]
    return FilledMask(text.what, tokenizer.decode(text.ids), bars)


# ------------------------------------------------------------------------------------------------------------ task


def task(run: Path, folder: Path, steps: int | None) -> Places:
    """Say what each word of a sentence is: fine-tuned from the pretrained model and from scratch, with paired seeds."""
    from minilm.cli.transfer import show, tell
    from minilm.transfer.comparisons import arms_of, mundito_data, world_of
    from minilm.transfer.experiment import Experiment, Plan
    from minilm.transfer.pictures import arms_bars
    from minilm.transfer.pretrained import Pretrained

    pretrained = Pretrained.open(run)
    data = mundito_data(world_of(pretrained), "tagging", DEV, TEST)
    arms = tuple(arms_of("pretraining", pretrained.config.layers))
    updates = min(UPDATES, steps or UPDATES)
    plan = Plan(arms, (LABELS,), SEEDS, trials=1, steps=updates)
    typer.echo(tr("task: is a word a name, an animal, a place, a verb, …; both arms see the same sentences"))
    rows = Experiment({"pretrained": pretrained}, data, plan, folder).run(tell)
    show(rows)
    title = tr("The role of each word, learned from {n} sentences", n=LABELS)
    picture = arms_bars(folder / "arms.png", rows, tr("part of the words that are tagged right"), title)
    return [(tr("the task's runs"), folder), (tr("with and without pretraining"), picture)]
