"""Files that survive a crash: the bytes go to a temporary name beside the goal, are synced to the disk, then renamed.

A rename within a folder is atomic (POSIX), so a reader sees the old file or the new one, never a part of one; a folder
is synced as well because the new name itself lives in it.
"""

import os
from pathlib import Path

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends


def write_synced(path: Path, data: bytes) -> None:
    """Write `data` to a new file and wait until the disk has it. Raises OSError (FileExistsError if there is one)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte: the system may take fewer at a time than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's list of names."""
    if os.name == "nt":  # Windows has no handle to sync for a folder; its renames are in the journal
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the file `path`, all or nothing: after an OSError the file is what it was before."""
    temporary = path.with_name(f".{path.name}.partial")
    temporary.unlink(missing_ok=True)
    try:
        write_synced(temporary, data)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
