"""Labelled tasks out of Mundito: the automaton wrote the text, so it knows every answer.

Each task is a pure function (world, count, seed) -> list of examples; labels come from what was drawn, never from
reading the text. The probes at the end ask a language model without any training on the task.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.mundito.automaton import Choice
from minilm.mundito.world import Mundito, Slot

SENTIMENT = ("negative", "positive")
ENTAILMENT = ("entailment", "contradiction", "neutral")
TAGS = ("O", "PER", "ANI", "OBJ", "LOC", "VRB", "ADJ", "SEN", "MOOD")


@dataclass(frozen=True)
class Example:
    """A text, or two, as token ids, and the answer: a class, a span (first, last) of `text`, or each token's tag."""

    text: tuple[int, ...]
    label: Any
    second: tuple[int, ...] = ()


class Maker:
    """Random pieces of text, with what they mean."""

    def __init__(self, world: Mundito, seed: int, task: str):
        self.world, self.lexicon = world, world.lexicon
        self.rng = random.Random(f"{task} {seed}")

    def ids(self, *parts: str | tuple[str, ...]) -> tuple[int, ...]:
        """The token ids of words and phrases."""
        words = [w for part in parts for w in ((part,) if isinstance(part, str) else part)]
        return tuple(self.world.id_of[w] for w in words)

    def slots(self) -> tuple[Slot, Slot]:
        """Two to introduce: names as frequent as in the world, animals and colours uniform, no name or animal twice."""
        rng, names = self.rng, Choice(enumerate_weights(self.world.name_p))
        first = second = Slot(names.draw(rng.random()), self.animal(), self.colour())
        while second.name == first.name or second.animal == first.animal:
            second = Slot(names.draw(rng.random()), self.animal(), self.colour())
        return first, second

    def animal(self) -> int:
        return self.rng.randrange(len(self.lexicon.animals))

    def colour(self, other_than: int = -1) -> int:
        """Any colour but one."""
        return self.rng.choice([c for c in range(len(self.lexicon.colours)) if c != other_than])

    def name(self, slot: Slot) -> str:
        return self.lexicon.names[slot.name].singular

    def the(self, animal: int, plural: int = 0) -> tuple[str, str]:
        """An animal with its article."""
        noun = self.lexicon.animals[animal]
        return self.lexicon.definite[noun.gender][plural], noun.form(plural)

    def coloured(self, colour: int, animal: int) -> str:
        return self.lexicon.colours[colour][self.lexicon.animals[animal].gender]

    def introduction(self, slot: Slot) -> tuple[int, ...]:
        """Raúl tiene una paloma negra ."""
        lex, noun = self.lexicon, self.lexicon.animals[slot.animal]
        colour = self.coloured(slot.colour, slot.animal)
        return self.ids(
            self.name(slot), lex.has, lex.indefinite[noun.gender], noun.singular, lex.of_colour, colour, lex.stop
        )

    def claim(self, slot: Slot, colour: int | None = None) -> tuple[int, ...]:
        """la paloma de Raúl es negra . Without a colour, the text before one."""
        lex = self.lexicon
        start = self.ids(self.the(slot.animal), lex.owned_by, self.name(slot), lex.is_)
        return start if colour is None else start + self.ids(self.coloured(colour, slot.animal), lex.stop)

    def question(self, slot: Slot) -> tuple[int, ...]:
        """¿ cómo es la paloma de Raúl ?"""
        lex = self.lexicon
        return self.ids(lex.asks, self.the(slot.animal), lex.owned_by, self.name(slot), lex.question_mark)


def enumerate_weights(p: np.ndarray) -> list[tuple[int, float, int]]:
    """Outcomes for a Choice of a number k with weight p_k."""
    return [(k, float(weight), k) for k, weight in enumerate(p)]


def sentiment(world: Mundito, count: int, seed: int) -> list[Example]:
    """Hugo dice que la paloma no es linda . -> 0 negative, 1 positive; a negation turns the adjective's polarity."""
    make, lex = Maker(world, seed, "sentiment"), world.lexicon
    found = []
    for _ in range(count):
        slot, positive, negated = make.slots()[0], make.rng.randrange(2), make.rng.random() < 0.3
        adjective = make.rng.choice(lex.good if positive ^ negated else lex.bad)[lex.animals[slot.animal].gender]
        says = make.ids(make.name(slot), lex.says, make.the(slot.animal))
        rest = make.ids(lex.denies if negated else lex.affirms, adjective, lex.stop)
        found.append(Example(says + rest, positive))
    return found


def entailment(world: Mundito, count: int, seed: int) -> list[Example]:
    """Two introductions, and a claim that follows (0), contradicts them (1), or is about an animal not spoken of (2).

    For a neutral claim half the time the owner is the other one, else the animal is one that nobody has.
    """
    make = Maker(world, seed, "entailment")
    found = []
    for _ in range(count):
        slots = make.slots()
        k, label = make.rng.randrange(2), make.rng.randrange(3)
        about, colour = slots[k], slots[k].colour
        if label == 1:
            colour = make.colour(other_than=colour)
        elif label == 2 and make.rng.random() < 0.5:
            about = about._replace(name=slots[1 - k].name)
        elif label == 2:
            nobodys = [j for j in range(len(world.lexicon.animals)) if j not in (slots[0].animal, slots[1].animal)]
            about = about._replace(animal=make.rng.choice(nobodys))
        premise = make.introduction(slots[0]) + make.introduction(slots[1])
        found.append(Example(premise, label, make.claim(about, colour)))
    return found


def span_questions(world: Mundito, count: int, seed: int) -> list[Example]:
    """Two introductions, and the question of one animal's colour; the answer is that colour's place in `text`."""
    make = Maker(world, seed, "questions")
    found = []
    for _ in range(count):
        slots = make.slots()
        k = make.rng.randrange(2)
        parts = [make.introduction(slot) for slot in slots]
        place = sum(map(len, parts[: k + 1])) - 2  # the colour stands before the full stop
        found.append(Example(parts[0] + parts[1], (place, place), make.question(slots[k])))
    return found


def tagging(world: Mundito, count: int, seed: int) -> list[Example]:
    """A sentence of a document, and the role of each word: its tag's number in TAGS."""
    make = Maker(world, seed, "tagging")
    number = {word: TAGS.index(tag) for word, tag in world.lexicon.categories.items()}
    found: list[Example] = []
    while len(found) < count:
        sentence = make.rng.choice(sentences(world, [t.id for t in world.document(make.rng)]))
        found.append(Example(tuple(sentence), tuple(number.get(world.words[t], 0) for t in sentence)))
    return found


TASKS: dict[str, Callable[[Mundito, int, int], list[Example]]] = {
    "sentiment": sentiment, "entailment": entailment, "questions": span_questions, "tagging": tagging,
}  # fmt: skip


def examples(world: Mundito, task: str, count: int, seed: int) -> list[Example]:
    """`count` examples of a task by its name; ConfigError for another name."""
    if task not in TASKS:
        raise ConfigError(tr("task is {got!r}; choose one of {known}", got=task, known=", ".join(TASKS)))
    return TASKS[task](world, count, seed)


def sentences(world: Mundito, tokens: list[int]) -> list[list[int]]:
    """The sentences of a document, without <bos> and <eos>: a question and its answer are one."""
    outside = {world.id_of["<bos>"], world.id_of["<eos>"]}
    stop = world.id_of[world.lexicon.stop]
    found: list[list[int]] = []
    current: list[int] = []
    for token in tokens:
        if token not in outside:
            current.append(token)
        if token == stop:
            found.append(current)
            current = []
    return found


def documents(world: Mundito, count: int, seed: int) -> list[list[list[int]]]:
    """Documents as lists of sentences of token ids, for next-sentence pairs."""
    rng = random.Random(f"documents {seed}")
    return [sentences(world, [t.id for t in world.document(rng)]) for _ in range(count)]


# ---------------------------------------------------------------------------- probes: asked without training for them


class Probe(NamedTuple):
    """A text to go on from, and groups of next tokens: a model is right if it gives the group `answer` the most."""

    prompt: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    answer: int


def agreement(world: Mundito, count: int, seed: int) -> list[Probe]:
    """Is the next verb singular (0) or plural (1)? Between head and verb stands a noun of the other number."""
    make, lex = Maker(world, seed, "agreement"), world.lexicon
    verbs = tuple(make.ids(tuple(forms[plural] for forms in lex.verbs)) for plural in (0, 1))
    found = []
    for _ in range(count):
        plural, place = make.rng.randrange(2), make.rng.choice(lex.places)
        start = [make.ids("<bos>"), *map(make.introduction, make.slots())]
        clause = make.ids(
            lex.where, lex.definite[place.gender][0], place.singular, make.the(make.animal(), plural),
            lex.who, lex.lives[plural], lex.along, make.the(make.animal(), 1 - plural),
        )  # fmt: skip
        found.append(Probe(sum(start, ()) + clause, verbs, plural))
    return found


def colour_questions(world: Mundito, count: int, seed: int) -> list[Probe]:
    """Which of all colours, in any form, answers the question? A guess is right one time in as many as there are."""
    make = Maker(world, seed, "colour questions")
    colours = tuple(make.ids(form) for forms in world.lexicon.colours for form in dict.fromkeys(forms))
    found = []
    for _ in range(count):
        slots = make.slots()
        slot = make.rng.choice(slots)
        prompt = make.ids("<bos>") + make.introduction(slots[0]) + make.introduction(slots[1]) + make.question(slot)
        right = make.ids(make.coloured(slot.colour, slot.animal))
        found.append(Probe(prompt, colours, colours.index(right)))
    return found


def claims(world: Mundito, count: int, seed: int) -> list[tuple[tuple[int, ...], int, int]]:
    """(prompt, colour token, 1 if true else 0): does the claim that ends in that colour follow from what was said?"""
    make = Maker(world, seed, "claims")
    found = []
    for _ in range(count):
        slots = make.slots()
        slot, true = make.rng.choice(slots), make.rng.randrange(2)
        colour = slot.colour if true else make.colour(other_than=slot.colour)
        prompt = make.ids("<bos>") + make.introduction(slots[0]) + make.introduction(slots[1]) + make.claim(slot)
        found.append((prompt, make.ids(make.coloured(colour, slot.animal))[0], true))
    return found
