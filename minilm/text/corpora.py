"""Corpora: texts with a name, an origin, a licence and a checksum, and a split that never shows training a test."""

import hashlib
import importlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.resources import cache_folder, data_folder, read_text

TEXT_SUFFIXES = frozenset(
    [
        ".txt",
        ".text",
        ".md",
        ".markdown",
        ".rst",
        ".tex",
        ".org",
        ".adoc",
        ".py",
        ".pyi",
        ".c",
        ".h",
        ".cpp",
        ".hpp",
        ".rs",
        ".go",
        ".java",
        ".js",
        ".ts",
        ".rb",
        ".sh",
        ".sql",
        ".r",
        ".jl",
    ]
)
Documents = tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """Documents in a fixed order, and where they come from."""

    name: str
    documents: Documents
    provenance: str
    licence: str

    def __post_init__(self) -> None:
        if not any(document.strip() for document in self.documents):
            raise DataError(tr("corpus {name} is empty; give a file or folder with some text", name=self.name))

    @cached_property
    def characters(self) -> int:
        """The number of characters of all documents."""
        return sum(map(len, self.documents))

    @cached_property
    def size(self) -> int:
        """The number of bytes of all documents in UTF-8."""
        return sum(len(document.encode("utf-8")) for document in self.documents)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the documents' UTF-8 bytes with one zero byte between documents: 64 hex digits."""
        return hashlib.sha256(b"\0".join(document.encode("utf-8") for document in self.documents)).hexdigest()

    def split(self, fraction: float = 0.1) -> tuple[Documents, Documents]:
        """(training, validation) documents: validation is the last `fraction` of the characters, training the rest.

        The border is the border of two documents that is nearest to it. If that would make validation less than half
        or more than twice of what was asked (a few large documents), one document is cut there in two, after a line if
        one ends nearby. DataError if the text is too short to leave something on both sides.
        """
        if not 0 < fraction < 1:
            raise DataError(tr("fraction must lie between 0 and 1, not {got}", got=fraction))
        aim = round(self.characters * (1 - fraction))
        ends, end = [], 0
        for document in self.documents[:-1]:
            end += len(document)
            ends.append(end)
        wanted = self.characters * fraction
        near = min(range(len(ends)), key=lambda i: abs(ends[i] - aim), default=None)
        if near is not None and wanted / 2 <= self.characters - ends[near] <= wanted * 2:
            return self.documents[: near + 1], self.documents[near + 1 :]
        return self._cut(aim, ends)

    def _cut(self, aim: int, ends: Sequence[int]) -> tuple[Documents, Documents]:
        """Cut at character `aim`, or at the end of a line within a hundredth of the text before it."""
        number = sum(end <= aim for end in ends)
        document = self.documents[number]
        place = aim - (ends[number - 1] if number else 0)
        line_end = document.rfind("\n", max(0, place - self.characters // 100), place) + 1
        place = line_end or place
        train = (*self.documents[:number], *([document[:place]] if place else []))
        valid = (document[place:], *self.documents[number + 1 :])
        if not any(part.strip() for part in train) or not any(part.strip() for part in valid):
            raise DataError(
                tr(
                    "corpus {name} has {count} characters, too few to split into training and validation; "
                    "give more text",
                    name=self.name,
                    count=self.characters,
                )
            )
        return train, valid


def built_in_corpora() -> dict[str, dict[str, Any]]:
    """What is recorded of each built-in corpus, by name: summary, provenance, licence, whether it must be fetched, …"""
    return json.loads((data_folder() / "corpora.json").read_text(encoding="utf-8"))


def load_corpus(name_or_path: str | Path) -> Corpus:
    """The corpus of that name (`pydocs`, `shakespeare`), else the text file or the folder of text files at that path.

    A folder is read with its subfolders, in the order of the paths; hidden files and files whose suffix is not of a
    text are left out. A folder that is named like a built-in corpus is reached by "./pydocs". DataError when there is
    nothing there, or a file is empty, binary or not UTF-8.
    """
    recorded = built_in_corpora()
    if name_or_path == "pydocs":
        return _python_documentation(recorded["pydocs"])
    if isinstance(name_or_path, str) and name_or_path in recorded:
        return load_fetched(name_or_path, recorded[name_or_path])
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        files = _text_files(path)
        if not files:
            raise DataError(
                tr("folder {path} has no text file (.txt, .md, .rst, .py, …); name a file itself", path=path)
            )
        documents = tuple(text for text in map(read_text, files) if text.strip())
        return Corpus(path.resolve().name, documents, str(path), tr("not stated"))
    if not path.exists():
        names = ", ".join(recorded)
        raise DataError(
            tr("there is no corpus, file or folder {path}; built-in corpora: {names}", path=name_or_path, names=names)
        )
    return Corpus(path.name, (read_text(path),), str(path), tr("not stated"))


def is_available(name: str) -> bool:
    """Whether the built-in corpus `name` can be loaded now: it needs no fetching, or has been fetched."""
    recorded = built_in_corpora()[name]
    return not recorded["fetched"] or fetched_folder(name, recorded).is_dir()


def fetched_folder(name: str, recorded: dict[str, Any]) -> Path:
    """Where the texts of a fetched corpus lie, in the user's cache."""
    return cache_folder() / "corpora" / f"{name}-{recorded['sha256'][:12]}"


def load_fetched(name: str, recorded: dict[str, Any]) -> Corpus:
    """The corpus that `fetch_corpus` stored; DataError if there is none or its checksum is not the recorded one."""
    folder = fetched_folder(name, recorded)
    if not folder.is_dir():
        raise DataError(tr("corpus {name} is not here yet; fetch it with: minilm data fetch {name}", name=name))
    documents = tuple(read_text(path) for path in sorted(folder.glob("*.txt"), key=lambda path: path.name))
    corpus = Corpus(name, documents, recorded["provenance"], recorded["licence"])
    if corpus.sha256 != recorded["sha256"]:
        raise DataError(
            tr(
                "the texts in {folder} are not those recorded (sha256 {got} instead of {wanted}); "
                "delete the folder and run: minilm data fetch {name}",
                folder=folder,
                got=corpus.sha256[:12],
                wanted=recorded["sha256"][:12],
                name=name,
            )
        )
    return corpus


def _python_documentation(recorded: dict[str, Any]) -> Corpus:
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError as error:
        raise DataError(
            tr("this Python lacks its documentation (pydoc_data.topics); use a complete CPython, or a text file")
        ) from error
    documents = without_repeats([topics[name] for name in sorted(topics)])
    version = f"{platform.python_implementation()} {platform.python_version()}"
    return Corpus("pydocs", documents, f"{recorded['provenance']} ({version})", recorded["licence"])


def without_repeats(documents: Sequence[str], share: float = 0.9, line: int = 20) -> Documents:
    """`documents` in their order, less those that longer ones repeat.

    One is left out when at least `share` of its lines of `line` or more characters (blanks at the ends apart) stand in
    longer ones that stay. Python's topics need it: "while" and "with" stand whole in "compound", and would be
    validation text that training has seen.
    """
    seen: set[str] = set()
    kept = []
    for i in sorted(range(len(documents)), key=lambda i: (-len(documents[i]), i)):
        lines = [text for text in map(str.strip, documents[i].splitlines()) if len(text) >= line]
        if lines and sum(text in seen for text in lines) >= share * len(lines):
            continue
        seen.update(lines)
        kept.append(i)
    return tuple(documents[i] for i in sorted(kept))


def _text_files(folder: Path) -> list[Path]:
    """The text files under `folder`, sorted by their parts; links to folders are not followed."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in TEXT_SUFFIXES
        ]
    return sorted(found, key=lambda path: path.relative_to(folder).parts)
