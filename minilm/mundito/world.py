"""Mundito, a little world whose every word has a known probability: a source of text with an exact entropy.

A document is written from left to right by an automaton. Its state is a function of the words so far; `dist(state)` is
the true distribution of the next word and `step(state, word)` the state after it. So log p(x_t | x_<t) is known for
every token, the mean of -log p is the entropy, and no model can do better on average (Gibbs' inequality).

    Raúl tiene una paloma negra . Julia tiene una vaca roja . la paloma de Raúl es negra . ¿ cómo es la vaca de Julia ?
    roja . Julia está triste porque la paloma no es linda . en la granja las zorras que viven con el oso venden el pan .

What there is to learn: which words exist and how often (introductions draw names and animals without replacement);
agreement of article, noun and adjective, and of verb and head noun over a clause with another noun in it; facts (which
animal does what with what, where), whose frequencies have a power-law tail, so that more data always holds more of
them; copying (the colour of an animal is asked after); and the logic of moods and negation.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.mundito.automaton import Automaton, Choice, State
from minilm.mundito.lexicon import SPECIALS, Noun, lexicon_of
from minilm.text.words import WordTokenizer

FACT, RECALL, OPINION, QUESTION = range(4)
SENTENCES = (0.35, 0.30, 0.20, 0.15)  # how often each kind of sentence comes
STOP = 0.14  # the probability that a document ends after a sentence
ATTRACTOR = 0.3  # of a clause with another noun between the head and its verb
NEGATION = 0.25
PERSISTENCE = 0.9  # with which a name keeps its mood
NOISE = 0.05  # with which an opinion goes against the mood
OBJECT_MIX = (0.2, 0.3, 0.4, 0.1)  # an object that verb; animal and verb; place, animal and verb; nothing decides


class Slot(NamedTuple):
    """Someone who was introduced, and the animal that is theirs."""

    name: int
    animal: int
    colour: int


@dataclass(frozen=True)
class MunditoConfig:
    """language: "es" or "en". seed: of the world (which facts hold, how frequent each word is).

    tail: α; a fact's probability falls as rank^-(1+α). facts_only: documents of one fact, nothing else.
    """

    language: str = "es"
    seed: int = 0
    tail: float = 1.0
    facts_only: bool = False

    def __post_init__(self) -> None:
        lexicon_of(self.language)
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigError(tr("seed is {got!r}; it must be a whole number of at least 0", got=self.seed))
        if not self.tail > 0:
            raise ConfigError(tr("tail is {got}; the exponent of the facts' tail must be above 0", got=self.tail))


def _zipf(n: int, exponent: float, shift: float = 2.0) -> np.ndarray:
    """p_k ∝ (k + shift)^-exponent, k = 1 … n (Mandelbrot's form of Zipf's law)."""
    p = (np.arange(n) + 1 + shift) ** -exponent
    return p / p.sum()


class Mundito(Automaton):
    """The automaton of one world, and documents drawn from it."""

    def __init__(self, config: MunditoConfig | None = None):
        self.config = config or MunditoConfig()
        self.lexicon = lexicon_of(self.config.language)
        super().__init__(self.lexicon.words)
        self._frequencies(np.random.default_rng(self.config.seed))
        self._forms()
        self._objects = functools.lru_cache(maxsize=1 << 13)(
            self._objects_of
        )  # of 24,576 facts, those that are frequent

    def _frequencies(self, rng: np.random.Generator) -> None:
        """How often each word is chosen, and which facts hold: what a seed decides."""
        lex = self.lexicon
        shape = (len(lex.places), len(lex.animals), len(lex.verbs))
        self.name_p = rng.permutation(_zipf(len(lex.names), 1.0))
        self.animal_p = rng.permutation(_zipf(len(lex.animals), 1.0))
        self.colour_p = _zipf(len(lex.colours), 0.7)
        self.mood_p, self.feature_p = _zipf(len(lex.happy), 0.7), _zipf(len(lex.good), 0.7)
        joint = (rng.permutation(math.prod(shape)) + 21.0) ** -(1 + self.config.tail)
        self.joint = (joint / joint.sum()).reshape(shape)
        objects = _zipf(len(lex.objects), 0.8, 1.0)
        self.favourites = [
            rng.choice(len(objects), shape[i:], p=objects) for i in (2, 1, 0)
        ]  # of verb; animal, verb; …

    def _forms(self) -> None:
        """Token ids of words in the forms that the rules ask for."""
        lex, of = self.lexicon, self.id_of
        self._name_id = [of[n.singular] for n in lex.names]
        self._animal_id = [[of[n.form(plural)] for plural in (0, 1)] for n in lex.animals]
        self._object_id, self._place_id = ([of[n.singular] for n in nouns] for nouns in (lex.objects, lex.places))
        self._verb_id = [[of[v] for v in forms] for forms in lex.verbs]
        self._colour_id = [[of[a] for a in forms] for forms in lex.colours]
        self._feature_id = [[[of[a] for a in forms] for forms in words] for words in (lex.bad, lex.good)]
        self._mood_id = [[[of[a] for a in forms] for forms in words] for words in (lex.sad, lex.happy)]
        self._the = [[of[a] for a in forms] for forms in lex.definite]
        self._a = [of[a] for a in lex.indefinite]

    def tokenizer(self) -> WordTokenizer:
        """The vocabulary as a tokenizer."""
        return WordTokenizer(self.words, SPECIALS)

    def _end(self, state: State) -> Choice:
        return self._once(("end",), lambda: [(self.id_of["<bos>"], 1.0, None)])

    def _after_end(self, state: State, token: int, meaning: Any) -> State:
        return self._fact(State("")) if self.config.facts_only else State("name")

    # ---- introductions: Raúl tiene una paloma negra .

    def _name(self, state: State) -> Choice:
        taken = tuple(slot.name for slot in state.slots)
        return self._once(
            ("name", taken),
            lambda: [(self._name_id[i], p, i) for i, p in enumerate(self.name_p) if i not in taken],
        )

    def _after_name(self, state: State, token: int, i: int) -> State:
        return self._say(self.lexicon.has, state._replace(rule="new_article", local=(i,)))

    def _new_article(self, state: State) -> Choice:
        taken = tuple(slot.animal for slot in state.slots)
        return self._once(
            ("new_article", taken),
            lambda: [(self._a[n.gender], self.animal_p[j], None) for j, n in self._animals() if j not in taken],
        )

    def _after_new_article(self, state: State, token: int, meaning: Any) -> State:
        return state._replace(rule="new_animal", local=(*state.local, token))

    def _new_animal(self, state: State) -> Choice:
        taken, article = tuple(slot.animal for slot in state.slots), state.local[1]
        return self._once(
            ("new_animal", taken, article),
            lambda: [
                (self._animal_id[j][0], self.animal_p[j], j)
                for j, n in self._animals()
                if j not in taken and self._a[n.gender] == article
            ],
        )

    def _after_new_animal(self, state: State, token: int, j: int) -> State:
        return self._say(self.lexicon.of_colour, state._replace(rule="colour", local=(state.local[0], j)))

    def _colour(self, state: State) -> Choice:
        gender = self._gender(state.local[1])
        return self._once(
            ("colour", gender), lambda: [(self._colour_id[c][gender], p, c) for c, p in enumerate(self.colour_p)]
        )

    def _after_colour(self, state: State, token: int, c: int) -> State:
        name, animal = state.local
        slots = (*state.slots, Slot(name, animal, c))
        then = State("name", slots) if len(slots) < 2 else State("sentence", slots, local=(0,))
        return self._say([self.lexicon.stop], then)

    # ---- what kind of sentence comes, known by its first word

    def _sentence(self, state: State) -> Choice:
        slots, later = state.slots, state.local[0]
        articles = [self._article_of(slot) for slot in slots]
        names = [self._name_id[slot.name] for slot in slots]
        goes_on = 1 - STOP if later else 1.0

        def outcomes() -> Iterator[tuple[int, float, Any]]:
            if later:
                yield self.id_of["<eos>"], STOP, (None, 0)
            yield self.id_of[self.lexicon.where[0]], goes_on * SENTENCES[FACT], (FACT, 0)
            yield self.id_of[self.lexicon.asks[0]], goes_on * SENTENCES[QUESTION], (QUESTION, 0)
            for k in range(2):
                yield names[k], goes_on * SENTENCES[OPINION] / 2, (OPINION, k)
            for article in sorted(set(articles)):
                yield article, goes_on * SENTENCES[RECALL] * articles.count(article) / 2, (RECALL, 0)

        return self._once(("sentence", later, *articles, *names), outcomes)

    def _after_sentence(self, state: State, token: int, meaning: tuple) -> State:
        kind, k = meaning
        if kind == FACT:
            return self._fact(state)
        if kind == RECALL:
            return state._replace(rule="owned", local=(RECALL, 0, token))
        if kind == QUESTION:
            return self._say(self.lexicon.asks[1:], state._replace(rule="article", local=(QUESTION, 0)))
        if kind == OPINION:
            return self._say(self.lexicon.feels, state._replace(rule="mood", local=(k,)))
        return State("end")

    def _stop(self, state: State) -> State:
        """A full stop, and the next sentence (with facts only: the end)."""
        then = State("end") if self.config.facts_only else State("sentence", state.slots, state.moods, (1,))
        return self._say([self.lexicon.stop], then)

    # ---- recall and questions: la paloma de Raúl es negra . ¿ cómo es la vaca de Julia ? roja .

    def _article(self, state: State) -> Choice:
        articles = [self._article_of(slot) for slot in state.slots]
        return self._once(("article", *articles), lambda: [(article, 1.0, None) for article in articles])

    def _after_article(self, state: State, token: int, meaning: Any) -> State:
        return state._replace(rule="owned", local=(*state.local, token))

    def _owned(self, state: State) -> Choice:
        """The animal of one of the two introduced that its article fits; local: kind, mood, article."""
        slots, article = state.slots, state.local[2]
        animals = [slot.animal for slot in slots]
        return self._once(
            ("owned", *animals, article),
            lambda: [
                (self._animal_id[slot.animal][0], 1.0, k)
                for k, slot in enumerate(slots)
                if self._article_of(slot) == article
            ],
        )

    def _after_owned(self, state: State, token: int, k: int) -> State:
        kind, mood, _ = state.local
        if kind == OPINION:
            return state._replace(rule="negation", local=(k, mood))
        slot, lex = state.slots[k], self.lexicon
        between = lex.is_ if kind == RECALL else (lex.question_mark,)
        colour = self._colour_id[slot.colour][self._gender(slot.animal)]
        return self._say([*lex.owned_by, self._name_id[slot.name], *between, colour], self._stop(state))

    # ---- opinions: Julia está triste porque la paloma no es linda .

    def _mood(self, state: State) -> Choice:
        (k,) = state.local
        before, gender = state.moods[k], self.lexicon.names[state.slots[k].name].gender

        def outcomes() -> Iterator[tuple[int, float, Any]]:
            for mood in (0, 1):
                p = 0.5 if before is None else PERSISTENCE if mood == before else 1 - PERSISTENCE
                for forms, q in zip(self._mood_id[mood], self.mood_p, strict=True):
                    yield forms[gender], p * q, mood

        return self._once(("mood", before, gender), outcomes)

    def _after_mood(self, state: State, token: int, mood: int) -> State:
        (k,) = state.local
        moods = tuple(mood if i == k and m is None else m for i, m in enumerate(state.moods))
        then = State("article", state.slots, moods, (OPINION, mood))
        return self._say(self.lexicon.because, then)

    def _negation(self, state: State) -> Choice:
        first = self.id_of[self.lexicon.denies[0]], self.id_of[self.lexicon.affirms[0]]
        return self._once(("negation",), lambda: [(first[0], NEGATION, 1), (first[1], 1 - NEGATION, 0)])

    def _after_negation(self, state: State, token: int, negated: int) -> State:
        k, mood = state.local
        rest = (self.lexicon.denies if negated else self.lexicon.affirms)[1:]
        return self._say(rest, state._replace(rule="feature", local=(k, mood ^ negated)))

    def _feature(self, state: State) -> Choice:
        k, good = state.local
        gender = self._gender(state.slots[k].animal)
        return self._once(
            ("feature", good, gender),
            lambda: [
                (forms[gender], p * (1 - NOISE if kind == good else NOISE), kind)
                for kind in (0, 1)
                for forms, p in zip(self._feature_id[kind], self.feature_p, strict=True)
            ],
        )

    def _after_feature(self, state: State, token: int, meaning: int) -> State:
        return self._stop(state)

    # ---- facts: en la granja las zorras que viven con el oso venden el pan .

    def _fact(self, state: State) -> State:
        """The state after the first word of a fact; with facts only, before it."""
        where = self.lexicon.where if self.config.facts_only else self.lexicon.where[1:]
        return self._say(where, state._replace(rule="place_article", local=()))

    def _place_article(self, state: State) -> Choice:
        return self._once(("place_article",), self._place_articles)

    def _place_articles(self) -> list[tuple[int, float, Any]]:
        p = self.joint.sum((1, 2))
        return [(self._the[n.gender][0], p[a], None) for a, n in enumerate(self.lexicon.places)]

    def _after_place_article(self, state: State, token: int, meaning: Any) -> State:
        return state._replace(rule="place", local=(token,))

    def _place(self, state: State) -> Choice:
        (article,) = state.local
        return self._once(
            ("place", article),
            lambda: [
                (self._place_id[a], self.joint[a].sum(), a)
                for a, n in enumerate(self.lexicon.places)
                if self._the[n.gender][0] == article
            ],
        )

    def _after_place(self, state: State, token: int, a: int) -> State:
        return state._replace(rule="head_article", local=(a,))

    def _head_article(self, state: State) -> Choice:
        (a,) = state.local
        return self._once(("head_article", a), lambda: self._articles(self.joint[a].sum(1)))

    def _after_head_article(self, state: State, token: int, meaning: Any) -> State:
        return state._replace(rule="head", local=(*state.local, token))

    def _head(self, state: State) -> Choice:
        a, article = state.local
        return self._once(("head", a, article), lambda: self._nouns(self.joint[a].sum(1), article))

    def _after_head(self, state: State, token: int, meaning: tuple[int, int]) -> State:
        return state._replace(rule="verb_or_clause", local=(state.local[0], *meaning))

    def _verb_or_clause(self, state: State) -> Choice:
        a, b, plural = state.local
        clause = (self.id_of[self.lexicon.who[0]], ATTRACTOR, None)
        return self._once(("verb_or_clause", a, b, plural), lambda: [clause, *self._verbs(a, b, plural, 1 - ATTRACTOR)])

    def _after_verb_or_clause(self, state: State, token: int, c: int | None) -> State:
        if c is not None:
            return self._after_verb(state, token, c)
        lex = self.lexicon
        phrase = (*lex.who[1:], lex.lives[state.local[2]], *lex.along)
        return self._say(phrase, state._replace(rule="clause_article"))

    def _clause_article(self, state: State) -> Choice:
        return self._once(("clause_article",), lambda: self._articles(self.animal_p))

    def _after_clause_article(self, state: State, token: int, meaning: Any) -> State:
        return state._replace(rule="clause_animal", local=(*state.local, token))

    def _clause_animal(self, state: State) -> Choice:
        article = state.local[3]
        return self._once(("clause_animal", article), lambda: self._nouns(self.animal_p, article))

    def _after_clause_animal(self, state: State, token: int, meaning: Any) -> State:
        return state._replace(rule="verb", local=state.local[:3])

    def _verb(self, state: State) -> Choice:
        a, b, plural = state.local
        return self._once(("verb", *state.local), lambda: list(self._verbs(a, b, plural, 1.0)))

    def _after_verb(self, state: State, token: int, c: int) -> State:
        return state._replace(rule="object_article", local=(*state.local[:2], c))

    def _object_article(self, state: State) -> Choice:
        return self._objects(*state.local)[0]

    def _after_object_article(self, state: State, token: int, meaning: Any) -> State:
        return state._replace(rule="object", local=(*state.local, token))

    def _object(self, state: State) -> Choice:
        *fact, article = state.local
        return self._objects(*fact)[1][article]

    def _after_object(self, state: State, token: int, o: int) -> State:
        return self._stop(state)

    def _objects_of(self, place: int, animal: int, verb: int) -> tuple[Choice, dict[int, Choice]]:
        """The choice of the object's article, and after each article that of the object."""
        p = self.object_p(place, animal, verb)
        outcomes = [(self._the[n.gender][0], self._object_id[o], p[o]) for o, n in enumerate(self.lexicon.objects)]
        article = Choice((the, q, None) for the, _, q in outcomes)
        return article, {the: Choice((i, q, None) for t, i, q in outcomes if t == the) for the in article.tokens}

    def object_p(self, place: int, animal: int, verb: int) -> list[float]:
        """p(object | place, animal, verb): a mixture of what each part of the fact prefers, and of everything."""
        n = len(self.lexicon.objects)
        p = [OBJECT_MIX[3] / n] * n
        of_verb, of_both, of_all = self.favourites
        for share, o in zip(
            OBJECT_MIX, (of_verb[verb], of_both[animal, verb], of_all[place, animal, verb]), strict=False
        ):
            p[o] += share
        return p

    # ---- what several rules share

    def _animals(self) -> Iterator[tuple[int, Noun]]:
        return enumerate(self.lexicon.animals)

    def _gender(self, animal: int) -> int:
        return self.lexicon.animals[animal].gender

    def _article_of(self, slot: Slot) -> int:
        return self._the[self._gender(slot.animal)][0]

    def _articles(self, p: np.ndarray) -> list[tuple[int, float, Any]]:
        """Definite articles of any animal in either number."""
        return [(self._the[n.gender][plural], p[j] / 2, None) for j, n in self._animals() for plural in (0, 1)]

    def _nouns(self, p: np.ndarray, article: int) -> list[tuple[int, float, Any]]:
        """Animals in either number that an article fits, each meaning (animal, plural)."""
        return [
            (self._animal_id[j][plural], p[j], (j, plural))
            for j, n in self._animals()
            for plural in (0, 1)
            if self._the[n.gender][plural] == article
        ]

    def _verbs(self, a: int, b: int, plural: int, share: float) -> list[tuple[int, float, Any]]:
        p = self.joint[a, b] / self.joint[a, b].sum()
        return [(self._verb_id[c][plural], share * q, c) for c, q in enumerate(p)]
