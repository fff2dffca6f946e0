"""What can be known of a hidden word from all that stands around it: the best that any masked model can do."""

import math
from collections.abc import Sequence

import numpy as np

from minilm.errors import ConfigError, DataError
from minilm.i18n import tr
from minilm.mundito.automaton import Automaton, State


def fill_distribution(world: Automaton, tokens: Sequence[int], position: int) -> np.ndarray:
    """p(word at `position` | all the other words), (V,), by Bayes: ∝ p(text with that word).

    tokens: the ids of a text from <bos> on; it may break off anywhere. Where [MASK] stands the word is not known, and
    what stands at `position` is not looked at. Every text with a word in each such place is summed over, by way of the
    automaton's states, of which there are few. DataError for a text that Mundito cannot write.
    """
    if not 0 <= position < len(tokens):
        raise ConfigError(
            tr("position is {got}, but the text has {n} words: it must be from 0 to {last}", got=position,
               n=len(tokens), last=len(tokens) - 1)
        )  # fmt: skip
    hidden = {t for t, token in enumerate(tokens) if token == world.id_of["[MASK]"]} | {position}
    # Paths that end in one state go on alike, but which word stood at `position` has to be remembered.
    paths: dict[tuple[int | None, State], float] = {(None, world.start): 1.0}
    for t, token in enumerate(tokens):
        following: dict[tuple[int | None, State], float] = {}
        for (word, state), p in paths.items():
            choice = world.choice(state)
            for next_token in choice.tokens if t in hidden else [token] if token in choice.place else []:
                after = world.step(state, next_token)
                key = (next_token if t == position else word, after)
                q = p * choice.probabilities[choice.place[next_token]]
                following[key] = following.get(key, 0.0) + q
        if not following:
            raise DataError(
                tr(
                    "Mundito cannot write this text: after {before!r} there is no {word!r}",
                    before=world.text(tokens[max(0, t - 5) : t]),
                    word=world.text([token]),
                )
            )
        total = math.fsum(following.values())  # a long text's probability would underflow
        paths = {key: q / total for key, q in following.items()}
    found = np.zeros(world.vocab_size)
    for (word, _), p in paths.items():
        found[word] += p
    return found
