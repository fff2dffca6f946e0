"""WordPiece against slow references written from the definitions, and the properties of its files."""

import time
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import ConfigError, DataError
from minilm.text import WordPiece, load_corpus, load_tokenizer
from minilm.text.basic import is_punctuation
from minilm.text.wordpiece import SPECIAL_TOKENS

POOL = [*"aAéñÑcCbBİ각🙂中文.,'-#$\"", "\u0301", "\u200d", "\x00", " ", "  ", "\n", "\t", "\xa0", "##", "##a"]
POOL += ["unaffable", "Lower", "lowest", "newer", "widest", "Año", "[MASK]", "[UNK]", "日本", "한국", "x" * 99]
TEXT = st.lists(st.sampled_from(POOL)).map("".join) | st.text(st.characters(exclude_categories=["Cs"]))
WORDS = st.lists(st.sampled_from(["low", "lower", "newest", "wide", "aaaa", "aaa", "¿", " ", "\n", "1", "日本"])).map(
    "".join
)
KINDS = {"uncased": (True, None), "cased": (False, None), "spanish": (True, False)}


@pytest.fixture(scope="module")
def pydocs():
    return load_corpus("pydocs").documents


@pytest.fixture(scope="module", params=KINDS)
def trained(request, pydocs):
    lower, strip_accents = KINDS[request.param]
    return WordPiece.train([*pydocs[:12], " ".join(POOL * 2)], 700, lower, strip_accents)


def slow_score(rule, n, first, second, total):
    """Numbers that order as the scores do, exactly: (N·n/(c₁c₂))ⁿ for n·ln of it."""
    return Fraction(n, first * second) if rule == "ratio" else Fraction(n * total, first * second) ** n


def slow_train(words, count, rule):
    """All pieces and pairs counted anew for each join; (tokens, whether the text was enough)."""
    characters = sorted(set("".join(words)))
    tokens = characters + ["##" + c for c in characters if not is_punctuation(c) and c not in "日本"]
    spelled = [[tokens.index("##" * (i > 0) + c) for i, c in enumerate(word)] for word in words]
    while count > 0:
        pieces = Counter(piece for word in spelled for piece in word)
        pairs = Counter(pair for word in spelled for pair in pairwise(word))
        pairs = {pair: n for pair, n in pairs.items() if n >= 2}
        if not pairs:
            return tokens, False
        total = sum(pieces.values())
        scores = {(a, b): slow_score(rule, n, pieces[a], pieces[b], total) for (a, b), n in pairs.items()}
        best = min(pairs, key=lambda pair: (-scores[pair], pair))
        joined = tokens[best[0]] + tokens[best[1]][2:]
        if joined not in tokens:
            tokens.append(joined)
            count -= 1
        for word in spelled:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = [tokens.index(joined)]
                i += 1
    return tokens, True


def check_training(documents, count, rule):
    words = [word for document in documents for word in slow_words(document)]
    if not words:
        return
    expected, enough = slow_train(words, count, rule)
    size = len(SPECIAL_TOKENS) + len(expected)
    if not enough:
        with pytest.raises(DataError, match=f"too large for this text: after {size} tokens no pair occurs twice"):
            WordPiece.train(documents, size + 1, score=rule)
    assert WordPiece.train(documents, size, score=rule).tokens == (*SPECIAL_TOKENS, *expected)


def slow_words(document):
    for sign in "¿日本":
        document = document.replace(sign, f" {sign} ")
    return document.split()


@pytest.mark.parametrize("rule", ["likelihood", "ratio"])
@given(st.lists(WORDS, min_size=1), st.integers(0, 12))
def test_training_equals_counting_anew(rule, documents, count):
    check_training(documents, count, rule)


@pytest.mark.parametrize("rule", ["likelihood", "ratio"])
def test_training_equals_counting_anew_on_real_text(rule, pydocs):
    words = [word for word in " ".join(pydocs).lower().split() if word.isalpha() and word.isascii()][:600]
    assert len(set(words)) > 100
    check_training([" ".join(words)], 60, rule)


def test_the_two_rules_differ_in_what_they_know_about_frequency():
    """ "th" occurs 40 times among many h and t; x and q only together: the ratio joins the rare ones first."""
    text = "th " * 40 + "t h " * 8 + "xq " * 2
    first = {rule: WordPiece.train(text, 5 + 8 + 1, score=rule).tokens[-1] for rule in ("likelihood", "ratio")}
    assert first == {"likelihood": "th", "ratio": "xq"}


@pytest.mark.parametrize("rule", ["likelihood", "ratio"])
@given(st.lists(WORDS, min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_the_texts_does_not_matter(rule, documents, random):
    if not "".join(documents).split():
        return
    shuffled = random.sample(documents, len(documents))
    size = 5 + len(set("".join(slow_words(" ".join(documents))))) * 2 + 3
    results = []
    for order in (documents, shuffled):
        try:
            results.append(WordPiece.train(order, size, score=rule).fingerprint)
        except DataError as error:
            results.append(str(error))
    assert results[0] == results[1]


def test_equal_scores_take_the_smallest_ids():
    assert WordPiece.train("dc ba dc ba", 5 + 8 + 2).tokens[-2:] == ("ba", "dc")


@given(st.lists(st.text("ab", max_size=15), min_size=1))
def test_no_two_joins_make_one_token(words):
    """What lets the trainer call every join a new piece; a vocabulary with a token twice would be a DataError."""
    text = " ".join([*words, *words, "ab", "ba"])
    with pytest.raises(DataError, match="too large for this text"):
        WordPiece.train(text, 2000)


def test_the_layout_of_a_vocabulary():
    tokenizer = WordPiece.train("ab, ba 中 ab", 5 + 1 + 4 + 2 + 1, special_tokens=["<bos>"])
    assert tokenizer.tokens == (*SPECIAL_TOKENS, "<bos>", *",ab中", "##a", "##b", "ab")
    assert list(tokenizer.special_tokens.items()) == [(name, i) for i, name in enumerate((*SPECIAL_TOKENS, "<bos>"))]
    assert tokenizer.continues == [False] * 10 + [True, True, False]
    assert tokenizer.vocab_size == 13


@given(st.data())
def test_words_of_seen_characters_are_never_unknown(data):
    text = data.draw(TEXT.filter(lambda text: "Σ" not in text))
    lower, strip_accents = data.draw(st.sampled_from(sorted(KINDS.values(), key=str)))
    try:
        tokenizer = WordPiece.train(text, 10_000, lower, strip_accents)
    except DataError as error:
        if "no words" in str(error):
            return
        tokenizer = WordPiece.train(text, int(str(error).split("ask for at most ")[1].split()[0]), lower, strip_accents)
    seen = sorted({c for word in tokenizer.basic.words(text) if len(word) <= 100 for c in word})
    other = data.draw(st.lists(st.sampled_from([*seen, " "])).map("".join))
    assert all(len(word) > 100 for word in tokenizer.basic.words(other)) or "[UNK]" not in tokenizer.tokenize(
        " ".join(word for word in tokenizer.basic.words(other) if len(word) <= 100)
    )


def test_an_alphabet_that_is_limited_keeps_the_most_frequent():
    text = "aaab aab az z b"
    tokenizer = WordPiece.train(text, 5 + 4, alphabet_limit=2)
    assert tokenizer.tokens[5:] == ("a", "b", "##a", "##b")
    assert tokenizer.tokenize("az ab") == ["[UNK]", "a", "##b"]
    assert WordPiece.train("z y z y x", 5 + 4, alphabet_limit=2).tokens[5:] == ("y", "z", "##y", "##z")
    rare = "azb " * 50 + "ba ba aab aab aab"  # were z left out of azb, "ab" would be learned
    assert WordPiece.train(rare, 5 + 4 + 1, alphabet_limit=2).tokens[-1] == "aa"


def slow_pieces(word, tokens):
    """The definition, word by word: the longest token that begins what is left; all or nothing."""
    if len(word) > 100:
        return ["[UNK]"]
    found, rest = [], word
    while rest:
        marked = "##" * bool(found)
        fitting = [
            t for t in tokens if t not in SPECIAL_TOKENS and (marked + rest).startswith(t) and len(t) > len(marked)
        ]
        fitting = [t for t in fitting if found or not t.startswith("##")]
        if not fitting:
            return ["[UNK]"]
        found.append(max(fitting, key=len))
        rest = rest[len(found[-1]) - len(marked) :]
    return found


@given(TEXT)
def test_encoding_is_greedy_longest_match(trained, text):
    expected = [token for word in trained.basic.words(text) for token in slow_pieces(word, trained.tokens)]
    assert trained.tokenize(text) == expected


def test_encoding_by_example():
    tokens = ["[UNK]", "una", "un", "##aff", "##able", "##a", "##ffa", "##ble", "want", "##ed", "a", ","]
    tokenizer = WordPiece(tokens, ["[UNK]"])
    assert tokenizer.tokenize("Unaffable, wanted") == ["una", "##ffa", "##ble", ",", "want", "##ed"]
    assert tokenizer.tokenize("unaffableX wanted") == ["[UNK]", "want", "##ed"]
    assert tokenizer.tokenize("ed ble aa un") == ["[UNK]", "[UNK]", "a", "##a", "un"]
    assert tokenizer.encode_with_offsets("xyz, wánted")[1] == [(0, 3), (3, 4), (5, 9), (9, 11)]
    assert tokenizer.tokenize("a" * 100) == ["a", *["##a"] * 99]
    assert tokenizer.tokenize("a" * 101 + " a") == ["[UNK]", "a"]
    assert tokenizer.encode_with_offsets(" " + "a" * 101)[1] == [(1, 102)]
    assert tokenizer.encode("") == tokenizer.encode(" \x00 ") == []


@given(TEXT)
def test_decoding_gives_the_normalized_text(trained, text):
    ids = trained.encode(text)
    if trained.special_tokens["[UNK]"] in ids:
        text = " ".join(w for w in trained.basic.words(text) if "[UNK]" not in trained.tokenize(w))
        ids = trained.encode(text)
    assert trained.decode(ids, clean=False) == trained.normalized(text)
    assert trained.decode(ids).replace(" ", "") == trained.normalized(text).replace(" ", "")
    assert trained.encode(trained.decode(ids, clean=False)) == ids


@given(TEXT, TEXT)
def test_texts_with_a_space_between_are_encoded_apart(trained, a, b):
    ids, spans = trained.encode_with_offsets(f"{a} {b}")
    (first, of_first), (second, of_second) = trained.encode_with_offsets(a), trained.encode_with_offsets(b)
    assert ids == first + second == trained.encode(f"{a} {b}")
    shift = len(a) + 1
    assert spans == of_first + [(start + shift, end + shift) for start, end in of_second]


@given(TEXT.filter(lambda text: "Σ" not in text))
def test_spans_hold_what_a_token_was_made_from(trained, text):
    ids, spans = trained.encode_with_offsets(text)
    beside = [(0, 0), *spans, (len(text), len(text))]
    for i, (id, (start, end)) in enumerate(zip(ids, spans, strict=True), start=1):
        assert 0 <= start < end <= len(text) and beside[i - 1][0] <= start
        made = "".join(trained.basic.words(text[start:end]))
        token = trained.tokens[id].removeprefix("##") if trained.continues[id] else trained.tokens[id]
        if beside[i - 1][1] > start or beside[i + 1][0] < end:
            assert token in made or token == "[UNK]"  # a character that became several tokens
        elif token != "[UNK]":
            assert token == made


@given(st.lists(TEXT))
def test_words_given_one_by_one(trained, words):
    ids, first = trained.encode_words(words)
    assert len(first) == len(words)
    for word, start, end in zip(words, first, [*first[1:], len(ids)], strict=False):
        assert ids[start:end] == (trained.encode(word) or [trained.special_tokens["[UNK]"]])


def test_words_given_one_by_one_by_example():
    tokenizer = WordPiece(["[UNK]", "new", "york", "##er", "##s", "-", "."], ["[UNK]"])
    assert tokenizer.encode_words(["New", "Yorkers", "", "york-new", "."]) == (
        [1, 2, 3, 4, 0, 2, 5, 1, 6],
        [0, 1, 4, 5, 8],
    )
    with pytest.raises(DataError, match="words must be a list of words, not one text; split it first"):
        tokenizer.encode_words("New York")


def test_special_tokens_are_text_unless_allowed(trained):
    mask, sep = trained.special_tokens["[MASK]"], trained.special_tokens["[SEP]"]
    assert mask not in trained.encode("a [MASK] b[SEP]")
    a, b = trained.encode("a"), trained.encode("b")
    ids, spans = trained.encode_with_offsets(" a[MASK] b[SEP]", "all")
    assert ids == [*a, mask, *b, sep] and spans == [(1, 2), (2, 8), (9, 10), (10, 15)]
    assert trained.decode(ids, clean=False) == "a [MASK] b [SEP]"
    for allowed in ("[MASK]", {"[MASK]"}):
        assert trained.encode("a[MASK]b[SEP]", allowed) == [*a, mask, *trained.encode("b[SEP]")]
    assert mask not in trained.encode("[mask]", "all")
    with pytest.raises(DataError, match=r"<bos> is no special token of this tokenizer; it has: \[PAD\], \[UNK\]"):
        trained.encode("a", {"<bos>"})


def test_a_special_token_is_never_read_from_plain_text():
    tokenizer = WordPiece(["[UNK]", "end", "e", "##n", "##d", "##x"], ["end", "##x"])
    assert tokenizer.tokenize("end ex") == ["e", "##n", "##d", "[UNK]"]
    assert tokenizer.tokenize("end", "all") == ["end"]
    assert tokenizer.decode([2, 5, 3, 1]) == "e ##x n end"
    assert tokenizer.continues == [False, False, False, True, True, False]


def test_of_two_special_tokens_the_longer_is_read():
    tokenizer = WordPiece(["[UNK]", "<a>", "<a><b>"], ["<a>", "<a><b>"])
    assert tokenizer.encode("<a><b><a>", "all") == [2, 1]


def test_a_fragment_that_begins_inside_a_word_is_decoded():
    tokenizer = WordPiece(["[UNK]", "[SEP]", "a", "##b"], ["[SEP]"])
    assert [tokenizer.decode(ids) for ids in ([3, 2], [2, 3, 3], [1, 3], [])] == ["b a", "abb", "[SEP] b", ""]


def test_lone_surrogates_are_named(trained):
    calls = [trained.encode, trained.normalized, trained.encode_with_offsets, lambda t: WordPiece.train(t, 300)]
    for call in calls:
        with pytest.raises(DataError, match=r"lone surrogate \(U\+D83D\) at position 2"):
            call("ab\ud83dc")


@settings(max_examples=20)
@given(text=TEXT)
def test_files_and_json_bring_the_same_tokenizer_back(tmp_path_factory, trained, text):
    folder = tmp_path_factory.mktemp("wordpiece")
    trained.save_vocab(folder / "vocab.txt")
    trained.save(folder / "tokenizer.json")
    kind = (trained.basic.lower, trained.basic.strip_accents)
    for again in (WordPiece.from_vocab(folder / "vocab.txt", *kind), load_tokenizer(folder / "tokenizer.json")):
        assert again.fingerprint == trained.fingerprint
        assert again.encode_with_offsets(text, "all") == trained.encode_with_offsets(text, "all")


def test_the_layout_of_the_file(tmp_path):
    tokenizer = WordPiece.train("ab ab", 10)
    tokenizer.save_vocab(tmp_path / "vocab.txt")
    assert (tmp_path / "vocab.txt").read_bytes() == b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##a\n##b\nab\n"
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbfa\r\n[UNK]\r\nb")
    tokenizer = WordPiece.from_vocab(tmp_path / "windows.txt")
    assert (tokenizer.tokens, tokenizer.special_tokens) == (("a", "[UNK]", "b"), {"[UNK]": 1})


def test_fingerprints_tell_the_options_apart():
    prints = {
        WordPiece(["[UNK]", "a", "b"], special, lower, strip_accents).fingerprint
        for special in (["[UNK]"], ["[UNK]", "b"])
        for lower in (True, False)
        for strip_accents in (True, False)
    }
    assert len(prints) == 8
    assert WordPiece(["[UNK]"], []).fingerprint == WordPiece(["[UNK]"], ["[UNK]"], True, True).fingerprint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"line 1 of .*vocab\.txt is empty"),
        ("[UNK]\na\n\nb\n", r"line 3 of .*vocab\.txt is empty"),
        ("[PAD]\na\n", r"vocab\.txt lacks \[UNK\], the token of unknown words"),
        ("[UNK]\na\nb\na\n", r"line 4 of .*vocab\.txt repeats 'a' of line 2"),
        ("[UNK]\na\x00\n", r"vocab\.txt is binary"),
    ],
)
def test_vocabulary_files_that_cannot_be(tmp_path, content, message):
    (tmp_path / "vocab.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        WordPiece.from_vocab(tmp_path / "vocab.txt")


def test_vocabularies_that_cannot_be(tmp_path):
    with pytest.raises(DataError, match=r"no file .*vocab\.txt"):
        WordPiece.from_vocab(tmp_path / "vocab.txt")
    (tmp_path / "vocab.txt").write_text("[UNK]\na\n")
    with pytest.raises(DataError, match=r"special tokens <bos>, <eos> are not in the vocabulary"):
        WordPiece.from_vocab(tmp_path / "vocab.txt", special_tokens=["<bos>", "[UNK]", "<eos>"])
    with pytest.raises(DataError, match=r"special tokens \[UNK\] are not in the vocabulary"):
        WordPiece(["a"], [])
    with pytest.raises(DataError, match="token 'a' stands in the vocabulary twice"):
        WordPiece(["[UNK]", "a", "a"], [])
    for token in ("", "a\n", "\r"):
        with pytest.raises(DataError, match="the token .* is empty or has a line end; leave it out"):
            WordPiece(["[UNK]", token], [token])


def test_trainings_that_cannot_be():
    with pytest.raises(
        DataError,
        match="vocab_size 9 is too small: 6 special tokens and 4 pieces of one character come before any longer one; "
        "ask for at least 10 or set alphabet_limit",
    ):
        WordPiece.train("ab ab", 9, special_tokens=["<bos>"])
    assert WordPiece.train("ab ab", 10, special_tokens=["<bos>"]).vocab_size == 10
    with pytest.raises(
        DataError, match="vocab_size 11 is too large for this text: after 10 tokens no pair occurs twice"
    ):
        WordPiece.train("ab ab", 11)
    for text in ("", [], [" \n", "\x00"], "a" * 101):
        with pytest.raises(DataError, match="the text to learn pieces from has no words"):
            WordPiece.train(text, 100)
    for special in (["[SEP]"], ["<x>", "<x>"]):
        with pytest.raises(DataError, match="is given twice; name each once"):
            WordPiece.train("ab ab", 100, special_tokens=special)
    for special in ([""], ["a"], ["##b"]):
        with pytest.raises(DataError, match="special token .* is empty or already in the vocabulary; rename it"):
            WordPiece.train("ab ab", 10 + len(special), special_tokens=special)
    with pytest.raises(ConfigError, match="score must be one of 'likelihood', 'ratio', not 'count'"):
        WordPiece.train("ab ab", 100, score="count")
    with pytest.raises(ConfigError, match="alphabet_limit must be an integer of at least 1, not 0"):
        WordPiece.train("ab ab", 100, alphabet_limit=0)


def test_progress_is_told():
    calls = []
    WordPiece.train("abcabc abcabc", 5 + 6 + 3, progress=lambda *now: calls.append(now))
    assert [done for done, _ in calls] == [1, 2, 3] and {wanted for _, wanted in calls} == {3}


def test_a_very_long_text_without_spaces_takes_no_quadratic_time():
    tokenizer = WordPiece(["[UNK]", "a", "##a", "中", "."], ["[UNK]"])
    start = time.perf_counter()
    assert tokenizer.encode("中" * 20_000) == [3] * 20_000
    assert tokenizer.encode("a" * 20_000) == [0]
    assert tokenizer.encode("a" + "\u0301\u0316" * 10_000 + ".") == [1, 4]
    assert time.perf_counter() - start < 5
