"""How WordPiece's vocabulary is learned: join, again and again, the two neighbours that explain the text best as one.

Schuster and Nakajima 2012 (Japanese and Korean voice search) say what their vocabulary does: of all possible new
pieces it takes the one that most increases the likelihood of the training text. Google never published the program,
nor how it computed that, so no vocabulary of ours can be held to theirs. Two readings are here:

"likelihood": n·ln(N·n / (c₁·c₂)), for a pair that occurs n times, made of pieces that occur c₁ and c₂ times among N.
    A model that draws pieces independently gave each occurrence c₁/N · c₂/N and now gives it n/N; this is what the
    log-likelihood gains, the change of all other pieces' frequencies left aside.
"ratio": n / (c₁·c₂), the rule that courses and documentation give. It is exp(gain per occurrence) / N, so it forgets
    how often the pair occurs: rare letters that stand beside each other are joined long before "th" + "##e".
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.text.bpe_training import Pair, Progress, merge_everywhere

CONTINUES = "##"
LEAST_COUNT = 2
# Scores this close are equal: logarithms differ in their last bits from one machine to another.
TIE = 1e-9

Rule = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


def likelihood(n: np.ndarray, first: np.ndarray, second: np.ndarray, total: float) -> np.ndarray:
    """n·ln(total·n / (first·second)), the gain in log-likelihood of a model of independent pieces."""
    return n * np.log(n * total / (first * second))


def ratio(n: np.ndarray, first: np.ndarray, second: np.ndarray, total: float) -> np.ndarray:
    """n / (first·second)."""
    return n / (first * second)


RULES: dict[str, Rule] = {"likelihood": likelihood, "ratio": ratio}


def rule_named(name: str) -> Rule:
    """The rule of that name; ConfigError lists the names."""
    if name not in RULES:
        raise ConfigError(
            tr("score must be one of {names}, not {got}", names=", ".join(map(repr, RULES)), got=repr(name))
        )
    return RULES[name]


def learn_pieces(
    words: Counter[str], alphabet: Sequence[str], wanted: int, rule: Rule, progress: Progress | None = None
) -> list[str]:
    """Up to `wanted` pieces longer than a character, in the order in which they were learned.

    words: how often each occurs. alphabet: the pieces of one character, "c" and "##c"; words with another character
    teach nothing. A pair must occur twice; of equal scores (to 1e-9) the smallest pair of ids wins, with ids counted
    from the alphabet's first on.
    """
    pieces = list(alphabet)
    ids = {piece: i for i, piece in enumerate(pieces)}
    spelled = [(_spell(word, ids), count) for word, count in words.items()]
    known = [(spelling, count) for spelling, count in spelled if spelling is not None]
    neighbours = _Neighbours([spelling for spelling, _ in known], [count for _, count in known], len(alphabet))
    while len(pieces) < len(alphabet) + wanted:
        pair = neighbours.best(rule)
        if pair is None:
            break
        # It is new: no join ever crossed the borders of a piece, so its inside was joined alike wherever it stands.
        pieces.append(pieces[pair[0]] + pieces[pair[1]].removeprefix(CONTINUES))
        neighbours.join(pair, len(pieces) - 1)
        if progress is not None:
            progress(len(pieces) - len(alphabet), wanted)
    return pieces[len(alphabet) :]


def _spell(word: str, ids: dict[str, int]) -> list[int] | None:
    """The word's characters as pieces, or None if one is not in the alphabet."""
    found = [ids.get(CONTINUES + c if i else c, -1) for i, c in enumerate(word)]
    return None if -1 in found else found


class _Neighbours:
    """Words as pieces, with the counts of pieces and of pairs kept current as pairs are joined.

    The pairs that occur often enough also stand in arrays, one slot each, so that scores are one expression: a join
    changes the score of every pair that shares a piece with it, and through N of every pair.
    """

    def __init__(self, words: list[list[int]], weights: list[int], pieces: int):
        self._words, self._weights = words, weights
        self._pair_counts: Counter[Pair] = Counter()
        self._holders: defaultdict[Pair, set[int]] = defaultdict(set)
        self._piece_counts = np.zeros(2 * pieces)
        for number, (word, weight) in enumerate(zip(words, weights, strict=True)):
            for piece in word:
                self._piece_counts[piece] += weight
            for pair in pairwise(word):
                self._pair_counts[pair] += weight
                self._holders[pair].add(number)
        self._slots: dict[Pair, int] = {}
        self._free: list[int] = []
        self._pairs = np.zeros((2, 1024), np.int64)
        self._counts = np.zeros(1024)
        self._update(self._pair_counts)

    def best(self, rule: Rule) -> Pair | None:
        """The pair to join, or None when none occurs often enough."""
        slots = np.flatnonzero(self._counts)
        if not slots.size:
            return None
        first, second = self._pairs[:, slots]
        counts = self._piece_counts
        scores = rule(self._counts[slots], counts[first], counts[second], float(counts.sum()))
        highest = scores.max()
        equal = np.flatnonzero(scores >= highest - TIE * abs(highest))
        return min(zip(first[equal].tolist(), second[equal].tolist(), strict=True))

    def join(self, pair: Pair, new: int) -> None:
        """Replace the pair by piece `new` wherever it stands."""
        if new >= len(self._piece_counts):
            self._piece_counts = np.concatenate([self._piece_counts, np.zeros_like(self._piece_counts)])
        changed, joined = merge_everywhere(pair, new, self._words, self._weights, self._pair_counts, self._holders)
        self._piece_counts[pair[0]] -= joined
        self._piece_counts[pair[1]] -= joined
        self._piece_counts[new] += joined
        self._update({pair, *changed})

    def _update(self, changed: "set[Pair] | Counter[Pair]") -> None:
        """Bring the slots of the pairs that changed up to date."""
        for pair in changed:
            count = self._pair_counts.get(pair, 0)
            slot = self._slots.get(pair)
            if slot is None and count >= LEAST_COUNT:
                self._slots[pair] = slot = self._free.pop() if self._free else len(self._slots)
                if slot >= len(self._counts):
                    self._pairs = np.concatenate([self._pairs, np.zeros_like(self._pairs)], axis=1)
                    self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
                self._pairs[:, slot] = pair
            elif slot is not None and count < LEAST_COUNT:
                del self._slots[pair]
                self._free.append(slot)
            if slot is not None:
                self._counts[slot] = count if count >= LEAST_COUNT else 0
