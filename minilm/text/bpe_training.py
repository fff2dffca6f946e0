"""How byte-level BPE learns its merges: the most frequent pair of neighbours becomes one token, again and again."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise

from minilm.text.splitting import Splitting
from minilm.text.tokenizer import check_encodable

Pair = tuple[int, int]
Progress = Callable[[int, int], None]


def count_pieces(documents: Iterable[str], splitting: Splitting) -> Counter[bytes]:
    """How often each piece occurs in the documents, each of which is cut by itself."""
    counts: Counter[bytes] = Counter()
    for document in documents:
        check_encodable(document)
        for piece, count in Counter(splitting.pieces(document)).items():
            counts[piece.encode("utf-8")] += count
    return counts


def learn_merges(counts: Counter[bytes], wanted: int, progress: Progress | None) -> tuple[list[bytes], list[Pair]]:
    """Merge the most frequent pair `wanted` times; only the pieces that hold it, and its neighbours' counts, change."""
    tokens = [bytes([byte]) for byte in range(256)]
    ids = {token: i for i, token in enumerate(tokens)}
    merges: list[Pair] = []
    pieces = [list(piece) for piece in counts]
    weights = list(counts.values())
    pair_counts: Counter[Pair] = Counter()
    holders: defaultdict[Pair, set[int]] = defaultdict(set)
    for number, piece in enumerate(pieces):
        for pair in pairwise(piece):
            pair_counts[pair] += weights[number]
            holders[pair].add(number)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)
    while heap and len(tokens) < 256 + wanted:
        count, pair = heapq.heappop(heap)
        if -count != pair_counts[pair]:  # an old count; the pair's present one stands elsewhere in the heap
            continue
        if -count < 2:
            break
        joined = tokens[pair[0]] + tokens[pair[1]]
        new = ids.setdefault(joined, len(tokens))
        if new == len(tokens):
            tokens.append(joined)
        merges.append(pair)
        changed, _ = merge_everywhere(pair, new, pieces, weights, pair_counts, holders)
        for pair in changed:
            if pair_counts[pair] > 0:
                heapq.heappush(heap, (-pair_counts[pair], pair))
        if progress is not None:
            progress(len(tokens) - 256, wanted)
    return tokens, merges


def merge_everywhere(
    pair: Pair,
    new: int,
    pieces: list[list[int]],
    weights: list[int],
    pair_counts: Counter[Pair],
    holders: defaultdict[Pair, set[int]],
) -> tuple[set[Pair], int]:
    """Replace `pair` by `new` in all pieces that hold it; the pairs whose counts changed, and how often it stood."""
    changed: set[Pair] = set()
    joined = 0
    for number in holders.pop(pair):
        old, weight = pieces[number], weights[number]
        merged = _replace(old, pair, new)
        if len(merged) == len(old):
            continue
        joined += weight * (len(old) - len(merged))
        for gone in pairwise(old):
            pair_counts[gone] -= weight
            changed.add(gone)
        for come in pairwise(merged):
            pair_counts[come] += weight
            holders[come].add(number)
            changed.add(come)
        pieces[number] = merged
    pair_counts.pop(pair, None)
    changed.discard(pair)
    return changed, joined


def _replace(ids: list[int], pair: Pair, new: int) -> list[int]:
    """`ids` with each `pair`, from left to right, replaced by `new`."""
    result: list[int] = []
    i, last = 0, len(ids) - 1
    while i <= last:
        if i < last and ids[i] == pair[0] and ids[i + 1] == pair[1]:
            result.append(new)
            i += 2
        else:
            result.append(ids[i])
            i += 1
    return result
