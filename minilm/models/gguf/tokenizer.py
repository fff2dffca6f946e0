"""The tokenizer of a GGUF file, and how its model begins, ends and converses."""

from typing import Any, NamedTuple

from minilm.errors import ConfigError
from minilm.i18n import tr
from minilm.models.gguf.file import Metadata
from minilm.text.added import AddedToken
from minilm.text.bpe import ByteBPE

# llama.cpp's names of how a text is cut: our splitting, and whether a piece that is a token needs no merges.
SPLITTINGS = {"gpt-2": ("gpt2", False), "smollm": ("smollm", False), "llama-bpe": ("llama3", True)}
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # kinds of tokens: learned; special; added as words
ENDS = ("eos", "eot", "eom")  # of a text, a turn, a message
OF_NO_EFFECT = (
    "padding_token_id unknown_token_id seperator_token_id cls_token_id mask_token_id fim_*_token_id prefix_token_id "
    "suffix_token_id middle_token_id"
).split()


class Speech(NamedTuple):
    """tokenizer; begin: the ids that stand before a text; stop: those that end one; chat_template: Jinja, or None."""

    tokenizer: ByteBPE
    begin: tuple[int, ...]
    stop: tuple[int, ...]
    chat_template: str | None


def read_speech(metadata: Metadata) -> Speech:
    """What the metadata say of text. ConfigError for what is not built here, DataError for what does not fit."""

    def take(key: str, *default: Any) -> Any:
        return metadata.take(f"tokenizer.ggml.{key}", *default)

    metadata.require("tokenizer.ggml.model", "gpt2")
    pre = take("pre")
    metadata.require("tokenizer.ggml.pre", *SPLITTINGS)
    for key in ("add_eos_token", "add_sep_token", "add_space_prefix", "remove_extra_whitespaces"):
        metadata.require(f"tokenizer.ggml.{key}", False)
    metadata.ignore(*(f"tokenizer.ggml.{key}" for key in OF_NO_EFFECT))
    metadata.ignore("tokenizer.chat_template.*", "tokenizer.chat_templates", "tokenizer.huggingface.json")
    tokens = take("tokens")
    tokenizer = _tokenizer(tokens, take("token_type", [NORMAL] * len(tokens)), take("merges"), pre)
    first, ends = take("bos_token_id", None), [take(f"{end}_token_id", None) for end in ENDS]
    begin = (first,) if take("add_bos_token", pre == "llama-bpe") and first is not None else ()
    stop = tuple(dict.fromkeys(end for end in ends if end is not None))
    if odd := [id for id in (*begin, *stop) if id not in range(len(tokens))]:
        raise ConfigError(
            tr("it names token {id}, but its vocabulary has tokens 0 to {last}", id=odd[0], last=len(tokens) - 1)
        )
    return Speech(tokenizer, begin, stop, metadata.take("tokenizer.chat_template", None))


def _tokenizer(tokens: list[str], kinds: list[int], merges: list[str], pre: str) -> ByteBPE:
    if len(kinds) != len(tokens):
        raise ConfigError(
            tr("tokenizer.ggml.token_type has {got} entries for {wanted} tokens", got=len(kinds), wanted=len(tokens))
        )
    if odd := sorted(set(kinds) - {NORMAL, CONTROL, USER_DEFINED}):
        raise ConfigError(
            tr("its vocabulary has tokens of kind {got}; minilm knows {wanted}", got=odd[0],
               wanted=f"{NORMAL}, {CONTROL}, {USER_DEFINED}")
        )  # fmt: skip
    special = {token: id for id, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == CONTROL}
    added = [
        AddedToken(token, id, special=False)
        for id, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind == USER_DEFINED
    ]
    splitting, whole_pieces = SPLITTINGS[pre]
    return ByteBPE.from_vocabulary(tokens, merges, special, splitting, added=added, whole_pieces=whole_pieces)
