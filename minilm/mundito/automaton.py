"""An automaton that writes: its state is a function of the words so far, so the true probability of the next is known.

A rule of the grammar is a pair of methods: `_rule(state)` gives the Choice of the next token, and
`_after_rule(state, token, meaning)` the state after it. `dist`, `step`, `logp` and `document` are made of these alone.
"""

import bisect
import itertools
import math
import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minilm.errors import DataError
from minilm.i18n import tr


class Choice:
    """A distribution over tokens: equal tokens are merged, and each remembers what it may mean."""

    __slots__ = ("cumulative", "meanings", "place", "probabilities", "tokens")

    def __init__(self, outcomes: Iterable[tuple[int, float, Any]]):
        """outcomes: (token, weight, what it means); the weights are normalised."""
        merged: dict[int, tuple[float, list[Any]]] = {}
        for token, weight, meaning in outcomes:
            if weight > 0:
                before, meanings = merged.get(token, (0.0, []))
                merged[token] = (before + weight, [*meanings, meaning])
        total = math.fsum(weight for weight, _ in merged.values())
        self.tokens = list(merged)
        self.probabilities = [weight / total for weight, _ in merged.values()]
        self.cumulative = list(itertools.accumulate(self.probabilities))
        self.meanings = [meanings[0] if len(meanings) == 1 else None for _, meanings in merged.values()]
        self.place = {token: i for i, token in enumerate(self.tokens)}

    def draw(self, u: float) -> int:
        """The place of the token that the number u in [0, 1) chooses."""
        return min(bisect.bisect_right(self.cumulative, u), len(self.tokens) - 1)


class State(NamedTuple):
    """Where the automaton stands: the rule that makes the next token, what the document has said, what the rule knows.

    slots: who was introduced so far. moods: of each of them, 1 happy, 0 sad, None not yet said.
    """

    rule: str
    slots: tuple = ()
    moods: tuple[int | None, ...] = (None, None)
    local: tuple = ()


class Token(NamedTuple):
    """A token of a document, its log-probability given all before it, in nats."""

    id: int
    logp: float


class Automaton:
    """What every grammar has; a subclass gives the rules, the state before a document being State("end")."""

    def __init__(self, words: Sequence[str]):
        self.words = tuple(words)
        self.id_of = {word: i for i, word in enumerate(self.words)}
        self._made: dict[tuple, Choice] = {}
        self._rules: dict[str, tuple[Any, Any]] = {
            name.removeprefix("_after_"): (getattr(self, name.removeprefix("_after")), getattr(self, name))
            for name in dir(self)
            if name.startswith("_after_")
        }

    vocab_size = property(lambda self: len(self.words), doc="V, the number of tokens.")
    start = property(lambda self: State("end"), doc="The state before a document.")

    def choice(self, state: State) -> Choice:
        """What may come next, and how probable each token is."""
        return self._rules[state.rule][0](state)

    def dist(self, state: State) -> np.ndarray:
        """p(next token | all before), (V,): non-negative, summing to 1."""
        found = self.choice(state)
        p = np.zeros(self.vocab_size)
        p[found.tokens] = found.probabilities
        return p

    def step(self, state: State, token: int) -> State:
        """The state after `token`; DataError if it cannot come here."""
        found = self.choice(state)
        if token not in found.place:
            raise DataError(
                tr(
                    "the word {word!r} cannot come here; possible: {words}",
                    word=self.words[token] if 0 <= token < self.vocab_size else token,
                    words=", ".join(self.words[t] for t in found.tokens[:8]),
                )
            )
        i = found.place[token]
        return self._rules[state.rule][1](state, token, found.meanings[i])

    def logp(self, tokens: Sequence[int], state: State | None = None) -> np.ndarray:
        """ln p(x_t | x_<t) of each token of a text that begins in `state` (before a document if None); -inf from the
        first impossible token on."""
        state = self.start if state is None else state
        found = np.full(len(tokens), -math.inf)
        for t, token in enumerate(tokens):
            here = self.choice(state)
            if token not in here.place:
                break
            found[t] = math.log(here.probabilities[here.place[token]])
            state = self.step(state, token)
        return found

    def document(self, rng: random.Random) -> list[Token]:
        """A document from <bos> to <eos> (facts only: to its full stop), each token with its log-probability."""
        state, tokens = self.start, []
        while True:
            rule, after = self._rules[state.rule]
            found = rule(state)
            i = found.draw(rng.random())
            tokens.append(Token(found.tokens[i], math.log(found.probabilities[i])))
            state = after(state, found.tokens[i], found.meanings[i])
            if state.rule == "end":
                return tokens

    def text(self, tokens: Iterable[int]) -> str:
        """The words of token ids, a space between."""
        return " ".join(self.words[t] for t in tokens)

    def encode(self, text: str) -> list[int]:
        """The token ids of words with spaces between; DataError names a word that Mundito does not have."""
        words = text.split()
        if unknown := [w for w in words if w not in self.id_of]:
            raise DataError(tr("Mundito has no word {word!r}", word=unknown[0]))
        return [self.id_of[w] for w in words]

    def _once(self, key: tuple, outcomes: Any) -> Choice:
        """The choice of that key, made when first asked for. outcomes: a function that lists them."""
        if key not in self._made:
            self._made[key] = Choice(outcomes())
        return self._made[key]

    # ---- what comes for sure: words, and then the state that was waiting behind them

    def _say(self, phrase: Iterable[int | str], then: State) -> State:
        ids = tuple(self.id_of[w] if isinstance(w, str) else w for w in phrase)
        return State("words", local=(ids, then)) if ids else then

    def _words(self, state: State) -> Choice:
        token = state.local[0][0]
        return self._once(("words", token), lambda: [(token, 1.0, None)])

    def _after_words(self, state: State, token: int, meaning: Any) -> State:
        ids, then = state.local
        return State("words", local=(ids[1:], then)) if len(ids) > 1 else then
