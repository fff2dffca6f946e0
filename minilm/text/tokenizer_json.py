"""Reading `tokenizer.json`, Hugging Face's format, for byte-level BPE and WordPiece.

The file describes a pipeline: added tokens, normalizer, pre-tokenizer, model, post-processor, decoder. Each part does
what it does in the `tokenizers` library, or is refused by name: nothing is silently left out.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import regex

from minilm.errors import DataError, MinilmError
from minilm.i18n import tr
from minilm.text.added import AddedToken
from minilm.text.basic import BasicTokenization
from minilm.text.bpe import ByteBPE, byte_symbols
from minilm.text.fields import Fields, shown
from minilm.text.inputs import InputRules, Layout, Padding, Part, Truncation
from minilm.text.normalization import NORMALIZATIONS
from minilm.text.splitting import DIGIT, DIGITS, GPT2_PATTERN, Cut, Splitting
from minilm.text.tokenizer import read_json
from minilm.text.wordpiece import WordPiece

STRATEGIES = {"LongestFirst": "longest_first", "OnlyFirst": "only_first", "OnlySecond": "only_second"}
SIDES = {"Right": "right", "Left": "left"}


def read_tokenizer_json(path: str | Path) -> ByteBPE | WordPiece:
    """The tokenizer of a `tokenizer.json`; DataError in one sentence for what cannot be honoured.

    Its ids are those of the `tokenizers` library, which reads special tokens wherever they stand in a text: here that
    is encode(text, allowed_special="all").
    """
    content = read_json(path)
    try:
        return _read(Fields(content, str(path)))
    except MinilmError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(tr("{path} is a damaged tokenizer file ({reason})", path=path, reason=error)) from error


def _read(file: Fields) -> ByteBPE | WordPiece:
    file.require("version", "1.0")
    model = file.inner(file.take("model"), "model")
    if "type" not in model.left:  # files of before 2020 do not say
        model.left["type"] = "BPE" if "merges" in model.left else "WordPiece"
    added = [_added_token(file.inner(token, "added_tokens")) for token in file.take("added_tokens", [])]
    readers = {"BPE": _read_bpe, "WordPiece": _read_wordpiece}
    tokenizer: ByteBPE | WordPiece = model.dispatch(
        {name: partial(read, file=file, added=added) for name, read in readers.items()}
    )
    file.finish()
    return tokenizer


# ------------------------------------------------------------------------------------------------------------ models


def _read_bpe(model: Fields, file: Fields, added: list[AddedToken]) -> ByteBPE:
    tokens = _tokens(model, added)
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        model.require(name, None, *([""] if name != "dropout" else []))
    model.require("byte_fallback", False)
    unknown, fuse = model.take("unk_token", None), model.take("fuse_unk", False)
    if complete := set(byte_symbols()) <= set(tokens):
        unknown = None  # no byte is unknown
    if fuse and unknown is not None and not complete:
        raise DataError(tr("{where} has fuse_unk and lacks bytes, which is not supported", where=model.where))
    file.inner(file.take("decoder", None), "decoder").dispatch({"ByteLevel": _byte_level})
    merges = model.take("merges")
    made = {merge.replace(" ", "") if isinstance(merge, str) else "".join(merge) for merge in merges}
    if both := next((token.text for token in added if token.text in made), None):
        raise DataError(
            tr("{where} makes {token} by a merge, but it is an added token too, which is not supported",
               where=model.where, token=repr(both))
        )  # fmt: skip
    return ByteBPE.from_vocabulary(
        tokens,
        merges,
        {token.text: token.id for token in added if token.special},
        _splitting(file),
        added=added,
        normalization=_normalizations(file.take("normalizer", None), file),
        whole_pieces=bool(model.take("ignore_merges", False)),
        unknown=None if unknown is None else _id_of(unknown, tokens, model),
        inputs=_input_rules(file, tokens),
    )


def _read_wordpiece(model: Fields, file: Fields, added: list[AddedToken]) -> WordPiece:
    tokens = _tokens(model, added)
    prefix, unknown = model.take("continuing_subword_prefix", "##"), model.take("unk_token")
    _id_of(unknown, tokens, model)
    words = file.inner(file.take("pre_tokenizer", None), "pre_tokenizer")
    words.dispatch({"BertPreTokenizer": lambda _: None})
    return WordPiece(
        tokens,
        [token.text for token in added if token.special],
        unknown=unknown,
        prefix=prefix,
        longest_word=model.take("max_input_chars_per_word", 100),
        basic=_basic(file.take("normalizer", None), file),
        added=added,
        spacing=_spacing(file.inner(file.take("decoder", None), "decoder"), prefix),
        inputs=_input_rules(file, tokens),
    )


def _added_token(token: Fields) -> AddedToken:
    flags = [bool(token.take(name, False)) for name in ("special", "single_word", "lstrip", "rstrip", "normalized")]
    found = AddedToken(token.take("content"), token.take("id"), *flags)
    token.finish()
    return found


def _tokens(model: Fields, added: Sequence[AddedToken]) -> list[str]:
    """The token of every id, 0 … V−1: those of the model and the added ones."""
    vocab = model.take("vocab")
    if not isinstance(vocab, dict) or not all(type(id) is int for id in [*vocab.values(), *(t.id for t in added)]):
        raise DataError(tr("{path} must map each token to its id, {{token: id}}", path=f"{model.where}, vocab"))
    ids = dict(vocab)
    for token in added:
        if ids.setdefault(token.text, token.id) != token.id:
            raise DataError(
                tr("{where} gives {token} the id {id}, but added_tokens gives it {other}",
                   where=f"{model.where}, vocab", token=repr(token.text), id=ids[token.text], other=token.id)
            )  # fmt: skip
    if sorted(ids.values()) != list(range(len(ids))):
        raise DataError(tr("the ids of {path} must be 0 … {last}, each once", path=model.where, last=len(ids) - 1))
    return sorted(ids, key=ids.__getitem__)


def _id_of(token: str, tokens: list[str], part: Fields) -> int:
    if token not in tokens:
        raise DataError(
            tr("{where} names the token {token}, which the vocabulary lacks", where=part.where, token=token)
        )
    return tokens.index(token)


# ------------------------------------------------------------------------------------------------ before the model


def _basic(normalizer: Any, file: Fields) -> BasicTokenization:
    if normalizer is None:
        return BasicTokenization(False, False, clean=False, split_cjk=False, as_tokenizers=True)

    def bert(part: Fields) -> BasicTokenization:
        clean, cjk = bool(part.take("clean_text", True)), bool(part.take("handle_chinese_chars", True))
        lower, strip = bool(part.take("lowercase", True)), part.take("strip_accents", None)
        return BasicTokenization(lower, lower if strip is None else bool(strip), clean, cjk, as_tokenizers=True)

    return file.inner(normalizer, "normalizer").dispatch({"BertNormalizer": bert})


def _normalizations(normalizer: Any, file: Fields) -> list[str]:
    """The names of the steps, in order."""
    if normalizer is None:
        return []

    def sequence(part: Fields) -> list[str]:
        return [name for inner in part.take("normalizers") for name in _normalizations(inner, file)]

    simple = {name: lambda _, name=name: [name] for name in NORMALIZATIONS}
    return file.inner(normalizer, "normalizer").dispatch({**simple, "Sequence": sequence})


def _splitting(file: Fields) -> Splitting:
    """The cuts before the bytes; the last step must be ByteLevel, which makes the bytes' symbols."""
    steps = _cuts(file.inner(file.take("pre_tokenizer", None), "pre_tokenizer"))
    if [name for name, _ in steps].count("ByteLevel") != 1 or steps[-1][0] != "ByteLevel":
        raise DataError(tr("{where}, pre_tokenizer must end in ByteLevel and have it once", where=file.where))
    return Splitting(tuple(cut for _, cut in steps if cut != Cut(None)))


def _cuts(part: Fields) -> list[tuple[str, Cut]]:
    """[(type, cut)], of a sequence those of all its steps."""

    def byte_level(part: Fields) -> list[tuple[str, Cut]]:
        space, use_regex = _byte_level(part)
        return [("ByteLevel", Cut(GPT2_PATTERN if use_regex else None, space=space))]

    def split(part: Fields) -> list[tuple[str, Cut]]:
        pattern, behavior, invert = (
            part.inner(part.take("pattern"), "pattern"),
            part.take("behavior"),
            part.take("invert"),
        )
        found = pattern.take("Regex", None) or regex.escape(pattern.take("String"))
        pattern.finish()
        if behavior == "Removed" and invert:
            return [("Split", Cut(found, between=False))]
        part.left |= {"behavior": behavior}
        part.require("behavior", "Isolated", "Removed")
        return [("Split", Cut(found, keep=behavior == "Isolated"))]

    def digits(part: Fields) -> list[tuple[str, Cut]]:
        return [("Digits", Cut(DIGIT if part.take("individual_digits", False) else DIGITS))]

    def sequence(part: Fields) -> list[tuple[str, Cut]]:
        return [step for inner in part.take("pretokenizers") for step in _cuts(part.inner(inner, "pretokenizers"))]

    return part.dispatch({"ByteLevel": byte_level, "Split": split, "Digits": digits, "Sequence": sequence})


def _byte_level(part: Fields) -> tuple[bool, bool]:
    """Whether a space is put in front, and whether GPT-2's pattern cuts; trim_offsets changes no id."""
    part.ignore("trim_offsets")
    return bool(part.take("add_prefix_space", True)), bool(part.take("use_regex", True))


# ------------------------------------------------------------------------------------------------- after the model


def _input_rules(file: Fields, tokens: list[str]) -> InputRules:
    processor = file.take("post_processor", None)
    layout = Layout() if processor is None else _layout(file.inner(processor, "post_processor"))
    truncation, padding = file.take("truncation", None), file.take("padding", None)
    return InputRules(
        layout,
        None if truncation is None else _truncation(file.inner(truncation, "truncation")),
        None if padding is None else _padding(file.inner(padding, "padding"), tokens),
    )


def _layout(part: Fields) -> Layout:
    def pairs_of(part: Fields) -> tuple[Part, Part]:
        (_, first), (_, last) = part.take("cls"), part.take("sep")
        part.ignore("trim_offsets", "add_prefix_space")
        return ((first,), 0), ((last,), 0)

    def bert(part: Fields) -> Layout:
        first, last = pairs_of(part)
        return Layout((first, ("a", 0), last), (first, ("a", 0), last, ("b", 1), (last[0], 1)))

    def roberta(part: Fields) -> Layout:
        first, last = pairs_of(part)
        return Layout((first, ("a", 0), last), (first, ("a", 0), last, last, ("b", 0), last))

    def byte_level(part: Fields) -> Layout:
        _byte_level(part)
        return Layout()

    def sequence(part: Fields) -> Layout:
        layouts = [_layout(part.inner(inner, "processors")) for inner in part.take("processors")]
        changing = [layout for layout in layouts if layout != Layout()]
        if len(changing) > 1:
            raise DataError(tr("{where} adds special tokens twice, which is not supported", where=part.where))
        return changing[0] if changing else Layout()

    kinds = {"TemplateProcessing": _template, "BertProcessing": bert, "RobertaProcessing": roberta}
    return part.dispatch({**kinds, "ByteLevel": byte_level, "Sequence": sequence})


def _template(part: Fields) -> Layout:
    names = part.take("special_tokens")
    ids = {name: tuple(part.inner(token, "special_tokens").take("ids")) for name, token in names.items()}
    found: list[tuple[Part, ...]] = []
    for name, texts in (("single", ["a"]), ("pair", ["a", "b"])):
        parts: list[Part] = []
        for piece in part.take(name):
            ((kind, described),) = piece.items()
            parts.append(
                (described["id"].lower() if kind == "Sequence" else ids[described["id"]], described["type_id"])
            )
        if sorted(text for text, _ in parts if isinstance(text, str)) != texts:
            raise DataError(tr("{where}, {name} must have each text once", where=part.where, name=name))
        found.append(tuple(parts))
    return Layout(*found)


def _truncation(part: Fields) -> Truncation:
    part.require("stride", 0)
    side, strategy = part.take("direction", "Right"), part.take("strategy")
    found = Truncation(part.take("max_length"), _renamed(strategy, STRATEGIES, part), _renamed(side, SIDES, part))
    part.finish()
    return found


def _padding(part: Fields, tokens: list[str]) -> Padding:
    strategy, id, name = part.take("strategy"), part.take("pad_id"), part.take("pad_token")
    if _id_of(name, tokens, part) != id:
        raise DataError(
            tr(
                "{where} has pad_id {id}, but {token} is {other}",
                where=part.where,
                id=id,
                token=name,
                other=tokens.index(name),
            )
        )
    length = strategy.get("Fixed") if isinstance(strategy, dict) else None
    if length is None and strategy != "BatchLongest":
        _renamed(strategy, {"BatchLongest": "", "Fixed": ""}, part)
    side, multiple = _renamed(part.take("direction", "Right"), SIDES, part), part.take("pad_to_multiple_of", None)
    found = Padding(id, part.take("pad_type_id", 0), side, length, multiple)
    part.finish()
    return found


def _renamed(name: Any, names: dict[str, str], part: Fields) -> str:
    if name not in names:
        raise DataError(
            tr("{where} is of type {got}, which is not supported; {known} are",
               where=part.where, got=shown(name), known=", ".join(names))
        )  # fmt: skip
    return names[name]


def _spacing(decoder: Fields, prefix: str) -> str:
    def wordpiece(part: Fields) -> str:
        part.require("prefix", prefix)
        return "english" if part.take("cleanup", True) else "plain"

    return decoder.dispatch({"WordPiece": wordpiece})
