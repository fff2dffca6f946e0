"""What lesson 5 proves."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np

from minilm import text, training
from minilm.course import claim, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import composite, floats, ids, integers, st
from minilm.mundito import Mundito
from minilm.mundito.probes import probe

# --------------------------------------------------------------------------------------------------------- L5.1 merging

few = st.lists(integers(0, 2), max_size=9)
pairs = st.tuples(integers(0, 2), integers(0, 2))


@claim("L5.1", "taken apart again, it is the old row, and no pair is left that could be joined", few, pairs)
def can_be_undone(impl, row, pair):
    found = list(impl.merge(row, pair, 9))
    again = [old for token in found for old in (pair if token == 9 else [token])]
    expect_close(again, row, "the row with each new id taken apart")
    expect(all(tuple(p) != pair for p in pairwise(found)), "no pair is left")


@claim("L5.1", "of a run of n equal ids, n // 2 pairs are joined from the left, and what is left over stands last",
       integers(2, 9), integers(0, 4))  # fmt: skip
def runs_are_joined_from_the_left(impl, n, token):
    found = list(impl.merge([7, *[token] * n, 8], (token, token), 9))
    expect_close(found, [7, *[9] * (n // 2), *[token] * (n % 2), 8], "the row")


# ------------------------------------------------------------------------------------------------- L5.2 learning merges

pieces_of_text = st.lists(st.text("abcé", min_size=1, max_size=6), min_size=2, max_size=8)


def apply(words, pair, new):
    """Every word with the pair joined, by cutting text: ids as characters."""
    old, one = chr(pair[0] + 500) + chr(pair[1] + 500), chr(new + 500)
    return [word.replace(old, one) for word in words]  # str.replace goes from left to right, without overlap


@claim("L5.2", "each merge is the most frequent pair of what the earlier ones left; of equals, the smallest; it "
       "ends when none is left", pieces_of_text, integers(1, 6))  # fmt: skip
def takes_the_most_frequent(impl, pieces, count):
    merges = [tuple(pair) for pair in impl.learn_merges(pieces, count)]
    expect(len(merges) <= count, f"there are at most {count} merges")
    words = ["".join(chr(byte + 500) for byte in piece.encode()) for piece in pieces]
    for k in range(count):
        counts = Counter((ord(a) - 500, ord(b) - 500) for word in words for a, b in pairwise(word))
        most = max(counts.values(), default=0)
        if most < 2:
            expect(len(merges) == k, "it stops when no pair occurs twice", expected=k, got=len(merges))
            return
        expect(len(merges) > k, "it does not stop before", expected=k + 1, got=len(merges))
        best = min(pair for pair, n in counts.items() if n == most)
        expect_close(merges[k], best, f"merge {k}")
        words = apply(words, merges[k], 256 + k)


@claim("L5.2", "on real text it learns the merges of the library's ByteBPE", integers(0, 2), examples=3)
def learns_what_the_library_learns(impl, number):
    sample = ["the cat sat on the mat and the rat sat on the cat",
              "más vale tarde que nunca y más vale maña que fuerza",
              "to be or not to be that is the question to be asked"][number]  # fmt: skip
    first, *others = sample.split(" ")
    bpe = text.ByteBPE.train(sample, 256 + 5)
    found = [tuple(pair) for pair in impl.learn_merges([first, *(" " + word for word in others)], 5)]
    expect(len(found) == 5, "five merges are found", expected=5, got=len(found))
    spelled = {i: bytes([i]) for i in range(256)}
    for k, (left, right) in enumerate(found):
        spelled[256 + k] = spelled[left] + spelled[right]
        expect_close(list(spelled[256 + k]), list(bpe.token_bytes(256 + k)), f"the bytes of token {256 + k}")


@claim("L5.2", "the order of the pieces does not matter, and pieces that are there twice count twice", pieces_of_text)
def forgets_the_order_of_pieces(impl, pieces):
    once = impl.learn_merges(pieces, 4)
    expect_close(impl.learn_merges(pieces[::-1], 4), once, "the merges of the pieces in reverse")
    many = impl.learn_merges([*pieces, *3 * ["qz"], *20 * ["xy"]], 4)
    expect(len(many) > 0, "something is learned")
    counted = Counter(pair for piece in pieces for pair in pairwise(piece.encode()))
    if counted and max(counted.values()) < 20:
        expect_close(list(many[0]), [120, 121], "the first merge, where “xy” is there twenty times")


# -------------------------------------------------------------------------------------------------------- L5.3 encoding


@composite
def pieces_and_merges(draw):
    """A piece, and merges as they are learned: mostly of neighbours in a text that is now and then the piece itself."""
    learned_from = draw(st.text("abé", max_size=10))
    rng, merges = np.random.default_rng(draw(integers(0, 10**6))), []
    word = "".join(chr(byte + 500) for byte in learned_from.encode())
    for k in range(draw(integers(1, 6))):
        known = [*"abé".encode(), *range(256, 256 + k)]
        pairs = list(pairwise(ord(c) - 500 for c in word))
        at_random = not pairs or rng.random() < 0.3
        pair = tuple(int(i) for i in (rng.choice(known, 2) if at_random else pairs[rng.integers(len(pairs))]))
        if pair in merges:
            break
        merges.append(pair)
        (word,) = apply([word], pair, 256 + k)
    return draw(st.sampled_from([learned_from, learned_from[::-1]]) | st.text("abé", max_size=8)), merges


@claim("L5.3", "it is what the merges leave, applied one after the other in the order in which they were learned",
       pieces_and_merges())  # fmt: skip
def is_merge_after_merge(impl, piece, merges):
    word = "".join(chr(byte + 500) for byte in piece.encode())
    for k, pair in enumerate(merges):
        (word,) = apply([word], pair, 256 + k)
    expect_close(list(impl.encode(piece, merges)), [ord(c) - 500 for c in word], "the tokens")


@claim("L5.3", "nothing is lost: the bytes of the tokens are those of the piece, in any language", pieces_and_merges(),
       st.text("añ€😀中 ", max_size=4))  # fmt: skip
def loses_nothing(impl, case, other):
    piece, merges = case[0] + other, case[1]
    spelled = {i: bytes([i]) for i in range(256)}
    for k, (left, right) in enumerate(merges):
        spelled[256 + k] = spelled[left] + spelled[right]
    found = impl.encode(piece, merges)
    expect_close(list(b"".join(spelled[int(i)] for i in found)), list(piece.encode("utf-8")), "the bytes")


# --------------------------------------------------------------------------------------------------------- L5.4 windows


@composite
def texts_to_pack(draw):
    """Documents of ids 0 … 6, separator 7, context."""
    documents = draw(st.lists(st.lists(integers(0, 6), min_size=1, max_size=6), min_size=1, max_size=4))
    return documents, 7, draw(integers(1, 4))


def in_a_row(documents, separator):
    row = []
    for document in documents:
        row = [*row, separator, *document] if row else list(document)
    return row


@claim("L5.4", "the windows read the row from its begin, token by token, and the targets are the same row one token on",
       texts_to_pack())  # fmt: skip
def targets_are_one_on(impl, documents, separator, context):
    found, targets = impl.windows(documents, separator, context)
    row = in_a_row(documents, separator)
    n = max(0, (len(row) - 1) // context)
    expect_shape(found, (n, context), "the ids")
    expect_shape(targets, (n, context), "the targets")
    for i, t in np.ndindex(n, context):
        expect_close(int(found[i, t]), row[i * context + t], f"the token at place {t} of window {i}")
        expect_close(int(targets[i, t]), row[i * context + t + 1], f"the target at place {t} of window {i}")


@claim("L5.4", "on a deterministic cycle the successor of every token is its target, across windows and documents",
       integers(3, 6), integers(1, 5), integers(2, 4))  # fmt: skip
def knows_a_cycle(impl, cycle, context, rounds):
    document = list(range(cycle - 1))  # with the separator cycle − 1 the row is 0, 1, …, cycle − 1, 0, 1, …
    found, targets = impl.windows([document] * (rounds + 2), cycle - 1, context)
    expect(len(found) > 0, "there are windows")
    expect_close(np.asarray(targets), (np.asarray(found) + 1) % cycle, "the targets")
    expect(len(found) == (cycle * (rounds + 2) - 2) // context, "as many windows as there are full ones",
           expected=(cycle * (rounds + 2) - 2) // context, got=len(found))  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ L5.5 loss


@composite
def predictions(draw):
    """logits (B, T, V), targets (B, T), one at least that counts."""
    B, T, V = draw(integers(1, 3)), draw(integers(1, 3)), draw(integers(2, 4))
    targets = draw(ids(B, T, vocabulary=V + 2))
    targets = np.where(targets >= V, -100, targets)
    targets[0, 0] = draw(integers(0, V - 1))
    return draw(floats(B, T, V)), targets


def surprise(z, target):
    """−log of the softmax at target, by plain sums."""
    return math.log(math.fsum(math.exp(v - z[target]) for v in z))


@claim("L5.5", "it is the mean of −log p over all targets that count", predictions())
def is_a_mean(impl, logits, targets):
    terms = [surprise(logits[b, t], targets[b, t]) for b, t in np.argwhere(targets != -100)]
    expect_close(impl.next_token_loss(logits, targets), math.fsum(terms) / len(terms), "the loss")


@claim("L5.5", "with equal logits it is ln V, however many targets count", predictions())
def is_ln_v(impl, logits, targets):
    expect_close(impl.next_token_loss(0 * logits, targets), math.log(logits.shape[-1]), "the loss of equal logits")


@claim("L5.5", "a batch is the mean of its parts weighted by how many targets they have", predictions(), predictions())
def parts_are_weighted(impl, one, other):
    V = min(one[0].shape[-1], other[0].shape[-1])
    T = min(one[0].shape[1], other[0].shape[1])
    parts = [(z[:, :T, :V], np.where(y[:, :T] < V, y[:, :T], 0)) for z, y in (one, other)]
    both = impl.next_token_loss(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    n = [(y != -100).sum() for _, y in parts]
    apart = [impl.next_token_loss(z, y) for z, y in parts]
    expect_close(both, (n[0] * apart[0] + n[1] * apart[1]) / sum(n), "the loss of both parts together")


@claim("L5.5", "its gradient is that of its values, and 0 where no target counts", predictions(), examples=40)
def loss_has_its_gradient(impl, logits, targets):
    expect_gradient(impl.next_token_loss, (logits, targets))
    found = impl.next_token_loss.gradient((logits, targets), (0,), [np.ones(())])
    expect(found is None or np.all(found[0][targets == -100] == 0), "no gradient where no target counts")


# -------------------------------------------------------------------------------------------------------- L5.6 schedule


@composite
def schedules(draw):
    """peak, warmup, steps, floor."""
    warmup = draw(integers(0, 6))
    return draw(st.sampled_from([1.0, 0.25, 3e-4])), warmup, warmup + draw(integers(1, 12)), draw(integers(0, 4)) / 8


@claim("L5.6", "0 at step 0, the peak at the end of the warm-up, the floor at the end, and their mean half way down",
       schedules())  # fmt: skip
def has_its_corners(impl, peak, warmup, steps, floor):
    begin = impl.learning_rate(0, peak, warmup, steps, floor)
    expect_close(begin / peak, 0.0 if warmup else 1.0, "rate / peak at step 0", 1e-12)
    expect_close(impl.learning_rate(warmup, peak, warmup, steps, floor) / peak, 1.0, "rate / peak at the warm-up's end")
    for later in (steps, steps + 1, 2 * steps):
        found = impl.learning_rate(later, peak, warmup, steps, floor) / peak
        expect_close(found, floor, f"rate / peak at step {later}, of {steps}")
    middle = impl.learning_rate(warmup + 7, peak, warmup, warmup + 14, floor) / peak
    expect_close(middle, (1 + floor) / 2, "rate / peak half way down")


@claim("L5.6", "it is the library's, at every step", schedules())
def is_the_librarys(impl, peak, warmup, steps, floor):
    for step in range(steps + 3):
        wanted = training.learning_rate(step, peak=peak, steps=steps, warmup=warmup, floor=floor)
        found = impl.learning_rate(step, peak, warmup, steps, floor)
        expect_close(found / peak, wanted / peak, f"rate / peak at step {step} of {steps}, {warmup} of them warm-up")


# ------------------------------------------------------------------------------------------- L5.7 the probes measure it


class Knowing:
    """A model that is the source itself, or one that knows its words and not their order."""

    def __init__(self, world, ordered):
        self.world, self.ordered = world, ordered

    def __call__(self, ids):
        logits = np.zeros((*ids.shape, self.world.vocab_size))
        for row, out in zip(ids, logits, strict=True):
            state = self.world.start
            for t, token in enumerate(row.tolist()):
                state = self.world.step(state, token)
                if self.ordered:
                    out[t] = np.log(self.world.dist(state) + 1e-12)
        return logits


@claim(
    "L5.7", "the probes ask what they say: the source itself answers all, a model without knowledge guesses", examples=1
)
def probes_measure():
    world = Mundito()
    best, none = (probe(Knowing(world, ordered), world, count=60) for ordered in (True, False))
    for name in ("agreement", "questions"):
        expect_close(best[name].value, 1.0, f"what the source answers of {name}")
        guessed = none[name]
        limit = guessed.chance + 4 * math.sqrt(guessed.chance * (1 - guessed.chance) / 60)
        expect(guessed.value < limit, f"guessing in {name}", expected=guessed.chance, got=guessed.value)


# ---------------------------------------------------------------------------------------------------------- L5.8 inputs


@composite
def tasks_to_read(draw):
    """kind, texts of ids 10 … 19; start 1, delimiter 2, extract 3."""
    kind = draw(st.sampled_from(["classify", "entail", "similar", "choice"]))
    count = {"classify": 1, "entail": 2, "similar": 2, "choice": draw(integers(3, 4))}[kind]
    return kind, [draw(st.lists(integers(10, 19), min_size=1, max_size=4)) for _ in range(count)], 1, 2, 3


@claim("L5.8", "every row reads start, the texts with a delimiter between, extract, then filling", tasks_to_read())
def rows_read_as_they_should(impl, kind, texts, start, delimiter, extract):
    found, _ = impl.gpt1_rows(kind, texts, start, delimiter, extract)
    one, *more = [",".join(map(str, ids)) for ids in texts]
    wanted = [f"1,{one},2,{other},3" for other in more] or [f"1,{one},3"]
    if kind == "similar":
        wanted.append(f"1,{more[0]},2,{one},3")
    expect_shape(found, (len(wanted), max(row.count(",") + 1 for row in wanted)), "the rows")
    for i, row in enumerate(wanted):
        tokens = [int(token) for token in row.split(",")]
        expect_close(found[i].tolist(), tokens + [0] * (found.shape[1] - len(tokens)), f"row {i}")


@claim("L5.8", "the answer is asked for at extract, and nothing real stands after it", tasks_to_read())
def asks_at_extract(impl, kind, texts, start, delimiter, extract):
    found, at = impl.gpt1_rows(kind, texts, start, delimiter, extract)
    expect_shape(at, (len(found),), "the places")
    for row, place in zip(found, at, strict=True):
        expect_close(int(row[place]), extract, "the token where the answer is asked for")
        expect(row[place + 1 :] == 0, "after it there is only filling")
        expect(row[: place + 1] != 0, "before it there is none")


@claim(
    "L5.8", "two texts that are compared are read in both orders: exchanged, they exchange the rows", tasks_to_read()
)
def similarity_has_no_order(impl, kind, texts, *tokens):
    pair = [texts[0], texts[-1] if len(texts) > 1 else [10, 11]]
    one, other = (impl.gpt1_rows("similar", order, *tokens) for order in (pair, pair[::-1]))
    expect(len(one[0]) == 2, "there are two rows", expected=2, got=len(one[0]))
    expect_close(np.asarray(other[0])[::-1], np.asarray(one[0]), "the rows of the exchanged texts, in reverse")
    expect_close(np.asarray(other[1])[::-1], np.asarray(one[1]), "their places, in reverse")


# ----------------------------------------------------------------------------------------------------- L5.9 both losses


@composite
def finetunings(draw):
    """class_logits (B, C), labels (B,), token_logits (B, T, V), ids (B, T), real (B, T), weight."""
    B, C, T, V = draw(integers(1, 3)), draw(integers(2, 3)), draw(integers(3, 5)), draw(integers(2, 4))
    lengths = np.array([draw(integers(2, T)) for _ in range(B)])
    weight = draw(st.sampled_from([0.0, 0.5, 1.0, 2.0]))
    return (draw(floats(B, C)), draw(ids(B, vocabulary=C)), draw(floats(B, T, V)), draw(ids(B, T, vocabulary=V)),
            np.arange(T) < lengths[:, None], weight)  # fmt: skip


@claim("L5.9", "it is the task's mean, plus weight times the mean over rows of each row's own mean", finetunings())
def is_both_losses(impl, class_logits, labels, token_logits, ids, real, weight):
    task = [surprise(z, label) for z, label in zip(class_logits, labels, strict=True)]
    rows = []
    for z, row, counts in zip(token_logits, ids, real, strict=True):
        terms = [surprise(z[t - 1], row[t]) for t in range(1, len(row)) if counts[t]]
        rows.append(math.fsum(terms) / len(terms))
    wanted = math.fsum(task) / len(task) + weight * math.fsum(rows) / len(rows)
    found = impl.finetuning_loss(class_logits, labels, token_logits, ids, real, weight)
    expect_close(found, wanted, "the loss")


@claim("L5.9", "what fills a row up changes nothing, nor do the logits at a row's last token", finetunings())
def filling_changes_nothing(impl, class_logits, labels, token_logits, ids, real, weight):
    found = impl.finetuning_loss(class_logits, labels, token_logits, ids, real, weight)
    V = token_logits.shape[-1]
    other_ids = np.where(real, ids, (ids + 1) % V)
    expect_close(impl.finetuning_loss(class_logits, labels, token_logits, other_ids, real, weight), found,
                 "the loss with other ids in the filling")  # fmt: skip
    followed = np.pad(real[:, 1:], ((0, 0), (0, 1)))
    other = np.where(followed[:, :, None], token_logits, token_logits[:, :, ::-1] * 2 + 1)
    expect_close(impl.finetuning_loss(class_logits, labels, other, ids, real, weight), found,
                 "the loss with other logits where no real token follows")  # fmt: skip


@claim("L5.9", "its gradient is that of its values, in both kinds of logits", finetunings(), examples=30)
def both_losses_have_their_gradient(impl, *case):
    expect_gradient(impl.finetuning_loss, case, wrt=(0, 2))
