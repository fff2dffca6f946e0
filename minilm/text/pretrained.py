"""The tokenizer of a Hugging Face folder, whichever of its three layouts the folder has."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.resources import read_text
from minilm.text.basic import BasicTokenization
from minilm.text.bpe import ByteBPE
from minilm.text.fields import Fields
from minilm.text.inputs import InputRules, Layout, Padding
from minilm.text.splitting import GPT2_PATTERN, Cut, Splitting
from minilm.text.tokenizer import read_json
from minilm.text.tokenizer_json import read_tokenizer_json
from minilm.text.wordpiece import SPECIAL_TOKENS, WordPiece

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
GPT2_CLASSES = ("GPT2Tokenizer", "GPT2TokenizerFast", None)
BERT_CLASSES = ("BertTokenizer", "BertTokenizerFast", None)
BERT_ROLES = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}


def load_pretrained_tokenizer(folder: str | Path) -> ByteBPE | WordPiece:
    """The tokenizer of a folder: of its tokenizer.json, else of vocab.json and merges.txt, else of vocab.txt.

    tokenizer_config.json and special_tokens_map.json say which special token is what (`tokenizer.inputs.roles`), and
    how the two older layouts treat letters. DataError in one sentence where there is no tokenizer, or one of a kind
    that is not supported: GPT-1's BPE with word ends, SentencePiece.
    """
    folder = Path(folder)
    settings = _settings(folder)
    if (folder / "tokenizer.json").is_file():
        tokenizer: ByteBPE | WordPiece = read_tokenizer_json(folder / "tokenizer.json")
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        tokenizer = _gpt2(folder, settings)
    elif (folder / "vocab.txt").is_file():
        tokenizer = _bert(folder, settings)
    else:
        raise DataError(
            tr(
                "{folder} has no tokenizer that can be read: neither tokenizer.json, nor vocab.json with merges.txt, "
                "nor vocab.txt; give the folder of a byte-level BPE or WordPiece tokenizer",
                folder=folder,
            )
        )
    tokenizer.inputs = _with_roles(tokenizer, settings, folder)
    return tokenizer


def _settings(folder: Path) -> dict[str, Any]:
    """What the two settings files say; tokenizer_config.json counts more."""
    found: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            found |= Fields(read_json(folder / name), str(folder / name)).left
    return found


def _roles(settings: Mapping[str, Any]) -> dict[str, str]:
    """{"eos": "<|endoftext|>", ...} of the settings eos_token, ..., each a string or an object with its content."""
    given = {role: settings.get(f"{role}_token") for role in ROLES}
    texts = {role: token["content"] if isinstance(token, dict) else token for role, token in given.items()}
    return {role: text for role, text in texts.items() if text is not None}


def _with_roles(tokenizer: ByteBPE | WordPiece, settings: Mapping[str, Any], folder: Path) -> InputRules:
    """The tokenizer's rules with the roles and the padding's side that the settings name."""
    rules, roles = tokenizer.inputs or InputRules(), _roles(settings)
    for role, text in roles.items():
        if text not in tokenizer.special_tokens:
            raise DataError(
                tr("{folder} names {token} as its {role}, which is no special token of its vocabulary",
                   folder=folder, token=repr(text), role=f"{role}_token")
            )  # fmt: skip
    rules = replace(rules, roles={**rules.roles, **roles})
    if "pad" in rules.roles and "padding_side" in settings:
        plain = Padding(tokenizer.special_tokens[rules.roles["pad"]])
        rules = replace(rules, padding=replace(rules.padding or plain, side=settings["padding_side"]))
    if rules.truncation and "truncation_side" in settings:
        rules = replace(rules, truncation=replace(rules.truncation, side=settings["truncation_side"]))
    return rules


def _check_class(folder: Path, settings: Mapping[str, Any], known: tuple[str | None, ...]) -> None:
    found = settings.get("tokenizer_class")
    if found not in known:
        raise DataError(
            tr("{folder} has no tokenizer.json but a tokenizer of class {got}, which is not supported; {known} are",
               folder=folder, got=found, known=", ".join(filter(None, known)))
        )  # fmt: skip


def _gpt2(folder: Path, settings: Mapping[str, Any]) -> ByteBPE:
    """GPT-2's two files; add_prefix_space and add_bos_token are honoured."""
    if any(token.endswith("</w>") for token in read_json(folder / "vocab.json")):
        raise DataError(tr("{folder} has GPT-1's BPE, whose words end in </w>; it is not supported", folder=folder))
    _check_class(folder, settings, GPT2_CLASSES)
    splitting = Splitting((Cut(GPT2_PATTERN, space=bool(settings.get("add_prefix_space", False))),))
    tokenizer = ByteBPE.from_files(folder / "vocab.json", folder / "merges.txt", splitting)
    if settings.get("add_bos_token", False):
        bos = tokenizer.special_tokens[_roles(settings).get("bos", "<|endoftext|>")]
        tokenizer.inputs = InputRules(Layout((((bos,), 0), ("a", 0)), (((bos,), 0), ("a", 0), ((bos,), 1), ("b", 1))))
    return tokenizer


def _bert(folder: Path, settings: Mapping[str, Any]) -> WordPiece:
    """BERT's vocabulary, cut as Google's program does."""
    _check_class(folder, settings, BERT_CLASSES)
    part = Fields(settings, str(folder / "tokenizer_config.json"))
    part.require("do_basic_tokenize", True)
    part.require("never_split", None, [])
    lower, strip = bool(part.take("do_lower_case", True)), part.take("strip_accents", None)
    basic = BasicTokenization(
        lower, lower if strip is None else bool(strip), split_cjk=bool(part.take("tokenize_chinese_chars", True))
    )
    tokens = read_text(folder / "vocab.txt").removesuffix("\n").split("\n")
    roles = {role: text for role, text in {**BERT_ROLES, **_roles(settings)}.items() if text in tokens}
    if missing := {"unk", "cls", "sep"} - set(roles):
        raise DataError(tr("the special tokens {names} are not in the vocabulary", names=", ".join(sorted(missing))))
    special = [token for token in tokens if token in {*roles.values(), *SPECIAL_TOKENS}]
    first, last = (tokens.index(roles[role]) for role in ("cls", "sep"))
    single: Any = (((first,), 0), ("a", 0), ((last,), 0))
    layout = Layout(single, (*single, ("b", 1), ((last,), 1)))
    return WordPiece(tokens, special, unknown=roles["unk"], basic=basic, inputs=InputRules(layout, roles=roles))
