"""What lesson 8 proves."""

import math

import numpy as np

from minilm import models
from minilm.course import claim, expect, expect_close, expect_gradient, expect_shape
from minilm.course.strategies import booleans, composite, integers, st
from minilm.mundito import Mundito
from minilm.transfer import Example, FineTuning, Pretrained, Task, fine_tune, freeze, make_model, reader_of, take_over


def generator(draw):
    """For numbers in general position."""
    return np.random.default_rng(draw(integers(0, 2**32 - 1)))


def padded(draw, B, T):
    """Booleans (B, T): each row real along one stretch, padded on either side, or both."""
    real = np.zeros((B, T), bool)
    for row in real:
        first = draw(integers(0, T - 1))
        row[first : draw(integers(first + 1, T))] = True
    return real


# ------------------------------------------------------------------------------------------------- L8.1 a text's vector


@composite
def states(draw):
    """Hidden (B, T, D), real (B, T), weight (D, C), bias (C,), causal."""
    B, T, D, C = draw(integers(1, 3)), draw(integers(1, 5)), draw(integers(1, 4)), draw(integers(2, 3))
    rng = generator(draw)
    hidden, weight, bias = rng.standard_normal((B, T, D)), rng.standard_normal((D, C)), rng.standard_normal(C)
    return hidden, padded(draw, B, T), weight, bias, draw(st.booleans())


@claim(
    "L8.1", "the logits are those of the last real token's state, or without a causal mask the first one's", states()
)
def reads_one_state(impl, hidden, real, weight, bias, causal):
    found = impl.class_logits(hidden, real, weight, bias, causal)
    expect_shape(found, (len(hidden), len(bias)), "the logits")
    for b, row in enumerate(real):
        places = [t for t in range(len(row)) if row[t]]
        state = hidden[b, places[-1 if causal else 0]]
        for c in range(len(bias)):
            logit = math.fsum([*(h * w for h, w in zip(state, weight[:, c], strict=True)), bias[c]])
            expect_close(found[b, c], logit, "a logit")


@claim(
    "L8.1", "padding on either side changes nothing, whatever stands there", states(), integers(0, 2), integers(0, 2)
)
def padding_is_nothing(impl, case, before, after):
    hidden, real, weight, bias, causal = case
    found = impl.class_logits(hidden, real, weight, bias, causal)
    wide = np.pad(hidden, ((0, 0), (before, after), (0, 0)), constant_values=5.0)
    mask = np.pad(real, ((0, 0), (before, after)))
    again = impl.class_logits(np.where(mask[:, :, None], wide, 7.0), mask, weight, bias, causal)
    expect_close(again, found, "the logits with more padding")


@claim("L8.1", "its gradient is that of its values", states(), examples=30)
def logits_have_their_gradient(impl, hidden, real, weight, bias, causal):
    expect_gradient(impl.class_logits, (hidden, real, weight, bias, causal), wrt=(0, 2, 3))


# ---------------------------------------------------------------------------------------------------- L8.2 taking over


def pretrained(kind, seed, layers=2):
    """A small model of Mundito's vocabulary, with weights that stand for learned ones."""
    world = Mundito()
    shape = {"context": 24, "width": 8, "layers": layers, "heads": 2}
    if kind == "gpt":
        model = models.GPT(models.GPTConfig(world.vocab_size, **shape), seed)
    else:
        model = models.BertForPreTraining(models.BertConfig(world.vocab_size, **shape), seed)
    return Pretrained.of(kind, model.config, model.state_dict(), world.tokenizer())


def body_of(model):
    return model.gpt if hasattr(model, "gpt") else model.bert


@claim(
    "L8.2",
    "of a pretrained body the embeddings and the first n blocks are taken over, to the bit; the rest stays as drawn",
    st.sampled_from(["gpt", "bert"]),
    st.sampled_from([None, 0, 1, 2, "all"]),
    integers(0, 1000),
    examples=20,
)
def takes_over_from_the_bottom(kind, layers, seed):
    learned, task = pretrained(kind, seed + 1), Task("classify", ("no", "yes"))
    bare, model = make_model(learned, task, seed, None), make_model(learned, task, seed, layers)
    drawn = {name: p.numpy().copy() for name, p in body_of(bare).named_parameters()}
    fresh = take_over(body_of(bare), learned, layers) if layers is not None else list(drawn)
    for name, parameter in body_of(model).named_parameters():
        block = int(name.split(".")[1]) if name.startswith("blocks.") else None
        level = block + 1 if block is not None else 0 if "embedding" in name else 3
        taken = layers == "all" or (layers is not None and level <= layers)
        expect(taken == (name not in fresh), f"whether {name} is taken over is said")
        old = len(learned.weights[name]) if taken else 0
        now = parameter.numpy()
        expect(now[:old] == (learned.weights[name] if taken else now[:0]), f"{name} as it was learned")
        expect(now[old:] == drawn[name][old:], f"what is new in {name} as it was drawn")


@claim(
    "L8.2",
    "heads of one task and seed begin with the same numbers, whatever is taken over",
    st.sampled_from(["gpt", "bert"]),
    st.sampled_from(["classify", "tag", "spans"]),
    integers(0, 1000),
    examples=10,
)
def the_head_is_the_same(kind, what, seed):
    learned, task = pretrained(kind, seed + 1), Task(what, ("a", "b", "c"))
    heads = [make_model(learned, task, seed, layers).classifier.weight.numpy() for layers in (None, 1, "all")]
    expect((heads[0] == heads[1]) & (heads[0] == heads[2]), "the head's weights")


# ----------------------------------------------------------------------------------------------------- L8.3 word labels


@composite
def words(draw):
    """Tags and pieces, one of each a word, and a length of the row that may be too short."""
    W = draw(integers(1, 5))
    tags = [draw(integers(0, 6)) for _ in range(W)]
    pieces = [draw(integers(1, 3)) for _ in range(W)]
    return tags, pieces, max(3, sum(pieces) + 2 + draw(integers(-3, 3)))


@claim("L8.3", "the first piece of each word has its label, and nothing else has one", words())
def labels_first_pieces(impl, tags, pieces, length):
    found = impl.piece_tags(tags, pieces, length)
    expect_shape(found, (length,), "the labels")
    wanted = [-100] * length
    at = 1
    for tag, count in zip(tags, pieces, strict=True):
        if at < length - 1:
            wanted[at] = tag
        at += count
    expect_close(found, np.array(wanted), "the labels of the row")


@claim("L8.3", "read in order, the labels that count are the words' own, as far as the row goes", words())
def keeps_the_order(impl, tags, pieces, length):
    found = np.asarray(impl.piece_tags(tags, pieces, sum(pieces) + 4))
    expect_shape(found, (sum(pieces) + 4,), "the labels")
    expect_close(found[found != -100], np.array(tags), "the labels that count")
    short = np.asarray(impl.piece_tags(tags, pieces, length))
    n = min(length, sum(pieces) + 2) - 1
    expect_shape(short, (length,), "the labels")
    expect_close(short[:n], found[:n], "the labels of a row that is cut or filled up")


@claim("L8.3", "[CLS], [SEP] and padding have none", words())
def special_tokens_have_none(impl, tags, pieces, length):
    found = np.asarray(impl.piece_tags(tags, pieces, length))
    expect_shape(found, (length,), "the labels")
    inside = min(sum(pieces), length - 2)
    expect(found[0] == -100, "[CLS] has no label")
    expect(found[1 + inside :] == -100, "[SEP] and padding have no label")
    expect(found[1] == tags[0], "the first word has its label")


# ----------------------------------------------------------------------------------------------------------- L8.4 spans


@composite
def span_scores(draw):
    """Start and end (T,), where the passage is, and the longest answer."""
    T = draw(integers(1, 9))
    rng = generator(draw)
    (passage,) = padded(draw, 1, T)
    spread = draw(integers(1, 4))
    return spread * rng.standard_normal(T), spread * rng.standard_normal(T), passage, draw(integers(1, 4))


@claim("L8.4", "the span lies in the passage, ends where it starts or later, and is not too long", span_scores())
def is_allowed(impl, start, end, passage, longest):
    found = impl.best_span(start, end, passage, longest)
    expect(isinstance(found, tuple) and len(found) == 2, "the answer is a tuple of two places", got=found)
    i, j = found
    expect(0 <= i <= j < len(start), "the end is not before the start", got=found)
    expect(passage[i] and passage[j], "both ends are in the passage", got=found)
    expect(j - i + 1 <= longest, f"it has at most {longest} tokens", got=found)


@claim("L8.4", "no other allowed span has a larger sum of start and end", span_scores())
def is_the_best(impl, start, end, passage, longest):
    i, j = impl.best_span(start, end, passage, longest)
    for a in range(len(start)):
        for b in range(a, min(a + longest, len(start))):
            if passage[a] and passage[b]:
                better = (a, b) if start[a] + end[b] > start[i] + end[j] else (i, j)
                expect((i, j) == better, "the best allowed span", expected=better, got=(i, j))


@claim(
    "L8.4", "scores outside the passage change nothing, nor does a constant added to all starts or ends", span_scores()
)
def outside_is_nothing(impl, start, end, passage, longest):
    found = impl.best_span(start, end, passage, longest)
    expect(found is not None and all(passage[place] for place in found), "a span in the passage", got=found)
    loud = np.where(passage, 0.0, 9.0)
    expect_close(impl.best_span(start + loud, end + loud, passage, longest), found, "with loud scores outside")
    expect_close(impl.best_span(start - 5.0, end + 3.0, passage, longest), found, "with constants added")
    expect(impl.best_span(start, end, passage & False, longest) is None, "without a passage there is no span")


# -------------------------------------------------------------------------------------------------------- L8.5 measures


@composite
def guesses(draw):
    """Gold and guessed labels, 0 or 1, (N,)."""
    N = draw(integers(1, 8))
    return draw(booleans(N)).astype(int), draw(booleans(N)).astype(int)


@claim(
    "L8.5", "they are the part that is right, the harmonic mean of precision and recall, and a correlation", guesses()
)
def are_the_definitions(impl, gold, guessed):
    accuracy, f1, matthews = impl.scores(gold, guessed)
    both = sum(g == p == 1 for g, p in zip(gold, guessed, strict=True))
    expect_close(accuracy, sum(g == p for g, p in zip(gold, guessed, strict=True)) / len(gold), "the accuracy")
    if both:
        precision, recall = both / sum(guessed), both / sum(gold)
        expect_close(1 / f1, (1 / precision + 1 / recall) / 2, "one over F1")
    if gold.std() and guessed.std():
        expect_close(matthews, np.corrcoef(gold, guessed)[0, 1], "Matthews' correlation")


@claim("L8.5", "who always says the same has Matthews' 0, and whatever the accuracy", guesses())
def no_credit_for_a_constant(impl, gold, guessed):
    for answer in (0, 1):
        accuracy, f1, matthews = impl.scores(gold, np.full(len(gold), answer))
        share = float(np.mean(gold))
        expect_close(accuracy, share if answer else 1 - share, f"the accuracy of saying {answer}")
        expect_close(f1, 2 * share / (1 + share) if answer else 0.0, f"the F1 of saying {answer}")
        expect_close(matthews, 0.0, f"the Matthews of saying {answer}")


@claim("L8.5", "F1 is of the yes alone; Matthews is fair to both, and turns its sign with the guesses", guesses())
def has_its_symmetries(impl, gold, guessed):
    accuracy, f1, matthews = impl.scores(gold, guessed)
    expect_close(impl.scores(1 - gold, 1 - guessed)[::2], (accuracy, matthews), "with yes and no exchanged")
    expect_close(impl.scores(gold, 1 - guessed)[2], -matthews, "with every guess turned")
    expect_close(impl.scores(guessed, gold), (accuracy, f1, matthews), "with gold and guesses exchanged")
    more = np.zeros(3, int)
    expect_close(impl.scores(np.append(gold, more), np.append(guessed, more))[1], f1, "F1 with more right noes")


# ----------------------------------------------------------------------------------------------------------- L8.6 rates


@composite
def levels(draw):
    """Names of parameters in any order, the number of blocks, rate, factor, and how many levels are frozen."""
    layers = draw(st.sampled_from([1, 2, 3, 12]))
    blocks = [f"bert.blocks.{n}.{part}" for n in range(layers) for part in ("norm1.weight", "mlp.out.bias")]
    bottom = ["bert.token_embedding.weight", "bert.embedding_norm.bias", "bert.position_embedding.weight"]
    top = ["bert.pooler.weight", "bert.final_norm.bias", "classifier.weight", "classifier.bias"]
    names = draw(st.permutations([*bottom, *blocks, *top]))
    return (
        names,
        layers,
        draw(integers(1, 8)) / 1000,
        draw(st.sampled_from([0.5, 0.8, 0.9])),
        draw(integers(0, layers + 1)),
    )


def level_of(name, layers):
    if name.startswith("bert.blocks."):
        return int(name.split(".")[2]) + 1
    return 0 if "embedding" in name else layers + 1


@claim("L8.6", "from each level to the one below the rate falls by the factor; the top has the rate itself", levels())
def falls_by_the_factor(impl, names, layers, rate, factor, frozen):
    found = impl.layer_rates(names, layers, rate, factor, 0)
    expect(set(found) == set(names), "a rate for each name")
    for name in names:
        steps = round(math.log(found[name] / rate) / math.log(factor), 6)
        expect_close(steps, float(layers + 1 - level_of(name, layers)), f"levels between the top and {name}")


@claim("L8.6", "frozen levels have exactly 0, the others what they would have otherwise", levels())
def frozen_is_zero(impl, names, layers, rate, factor, frozen):
    free, found = (impl.layer_rates(names, layers, rate, factor, n) for n in (0, frozen))
    for name in names:
        expected = 0.0 if level_of(name, layers) < frozen else free[name]
        expect(found[name] == expected, f"the rate of {name}", expected=expected, got=found[name])
    expect_close(found["classifier.weight"], rate, "the head's rate")


# ---------------------------------------------------------------------------------------------------------- L8.7 frozen


TEXTS = [Example([20, 21 + i % 3, 30], i % 2) for i in range(6)]


@claim(
    "L8.7",
    "what is frozen does not move by a bit, weight decay or not, and all the rest moves",
    st.sampled_from(["gpt", "bert"]),
    st.sampled_from([None, 0, 1, "all"]),
    examples=8,
)
def frozen_does_not_move(kind, frozen):
    learned, task = pretrained(kind, 1), Task("classify", ("no", "yes"))
    model = make_model(learned, task, 0, "all", frozen)
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    fine_tune(model, reader_of(learned), task, TEXTS, FineTuning(rate=0.01, steps=3, decay=0.5))
    for name, parameter in model.named_parameters():
        own = name.partition(".")[2]
        block = int(own.split(".")[1]) if own.startswith("blocks.") else None
        level = block + 1 if block is not None else 0 if "embedding" in own else 3
        still = not name.startswith("classifier") and (frozen == "all" or (frozen is not None and level <= frozen))
        same = parameter.numpy() == before[name]
        expect(bool(same.all()) == still, f"whether {name} stays")


@claim("L8.7", "a frozen parameter gets no gradient at all", st.sampled_from(["gpt", "bert"]), examples=4)
def frozen_gets_no_gradient(kind):
    learned, task = pretrained(kind, 1), Task("classify", ("no", "yes"))
    model = make_model(learned, task)
    freeze(body_of(model), 1)
    model.loss(np.array([[20, 21, 30]]), labels=np.array([1])).backward()
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    expect(len(frozen) > 3, "something is frozen")
    for name, parameter in model.named_parameters():
        expect((parameter.grad is None) == (name in frozen), f"whether {name} has a gradient")


# -------------------------------------------------------------------------------------------------------- L8.8 features


@composite
def texts(draw):
    """Hidden (B, T, D) and real (B, T)."""
    B, T, D = draw(integers(2, 3)), draw(integers(1, 4)), draw(integers(2, 4))
    return generator(draw).standard_normal((B, T, D)) + 0.3, padded(draw, B, T)


@claim("L8.8", "it is the cosine of the means over the real tokens", texts())
def is_the_cosine_of_means(impl, hidden, real):
    found = impl.similarity(hidden, real)
    expect_shape(found, (len(hidden), len(hidden)), "the similarities")
    mean = [[math.fsum(x[row, d] for row in np.flatnonzero(r)) / r.sum() for d in range(x.shape[1])]
            for x, r in zip(hidden, real, strict=True)]  # fmt: skip
    for a, u in enumerate(mean):
        for b, v in enumerate(mean):
            dot = math.fsum(x * y for x, y in zip(u, v, strict=True))
            expect_close(found[a, b] * math.hypot(*u) * math.hypot(*v), dot, "cosine times both lengths")


@claim("L8.8", "padding changes nothing, whatever states stand there, and how many", texts())
def pooling_ignores_padding(impl, hidden, real):
    found = impl.similarity(hidden, real)
    wide = np.pad(hidden, ((0, 0), (1, 2), (0, 0)))
    mask = np.pad(real, ((0, 0), (1, 2)))
    expect_close(impl.similarity(np.where(mask[:, :, None], wide, -4.0), mask), found, "with more padding")


@claim("L8.8", "a text is like itself by 1, and the length of its vector does not matter", texts())
def is_about_directions(impl, hidden, real):
    found = np.asarray(impl.similarity(hidden, real))
    expect_shape(found, (len(hidden), len(hidden)), "the similarities")
    expect_close(np.diag(found), np.ones(len(hidden)), "each text with itself")
    longer = hidden * np.arange(1.0, len(hidden) + 1)[:, None, None]
    expect_close(impl.similarity(longer, real), found, "with the states of each text made longer")


@claim("L8.8", "its gradient is that of its values", texts(), examples=30)
def similarity_has_its_gradient(impl, hidden, real):
    expect_gradient(impl.similarity, (hidden, real))


# ------------------------------------------------------------------------------------------------------- L8.9 zero-shot


@composite
def answers(draw):
    """Logits (C, T, V), ids (C, T), the prompt's length, lengths (C,), and whether the mean is asked."""
    C, P, V = draw(integers(1, 3)), draw(integers(1, 3)), draw(integers(2, 5))
    lengths = np.array([P + draw(integers(1, 3)) for _ in range(C)])
    T = int(lengths.max()) + draw(integers(0, 2))
    rng = generator(draw)
    ids = rng.integers(0, V, (C, T))
    ids[:, :P] = ids[0, :P]
    return 2 * rng.standard_normal((C, T, V)), ids, P, lengths, draw(st.booleans())


@claim("L8.9", "an answer's score is the sum, or the mean, of its tokens' log-probabilities", answers())
def sums_log_probabilities(impl, logits, ids, prompt, lengths, per_token):
    found = impl.answer_scores(logits, ids, prompt, lengths, per_token)
    expect_shape(found, (len(ids),), "the scores")
    for c, n in enumerate(lengths.tolist()):
        total = 0.0
        for t in range(prompt, n):
            weights = [math.exp(z) for z in logits[c, t - 1]]
            total += math.log(weights[ids[c, t]] / math.fsum(weights))
        expect_close(found[c], total / (n - prompt) if per_token else total, "the score of an answer")


@claim("L8.9", "what is said of the prompt, and after the answer, changes nothing", answers())
def only_the_answer_counts(impl, logits, ids, prompt, lengths, per_token):
    found = impl.answer_scores(logits, ids, prompt, lengths, per_token)
    at = np.arange(ids.shape[1])
    asked = (at >= prompt - 1) & (at < lengths[:, None] - 1)
    flipped = np.where(asked[:, :, None], logits, -logits[:, :, ::-1])
    expect_close(impl.answer_scores(flipped, ids, prompt, lengths, per_token), found, "with other logits elsewhere")
    other = np.where(at < lengths[:, None], ids, 0)
    expect_close(impl.answer_scores(logits, other, prompt, lengths, per_token), found, "with other padding")


@claim("L8.9", "a constant added to the logits of a position changes nothing, and no score is above 0", answers())
def is_about_probabilities(impl, logits, ids, prompt, lengths, per_token):
    found = impl.answer_scores(logits, ids, prompt, lengths, per_token)
    shift = 3.0 * np.arange(ids.shape[1])[:, None]
    expect_close(impl.answer_scores(logits + shift, ids, prompt, lengths, per_token), found, "with constants added")
    expect(np.asarray(found) <= 0, "a log-probability is not above 0")


@claim("L8.9", "its gradient is that of its values", answers(), examples=30)
def answers_have_their_gradient(impl, logits, ids, prompt, lengths, per_token):
    expect_gradient(impl.answer_scores, (logits, ids, prompt, lengths, per_token))
