"""Zips from strangers: what is in them is known, and found harmless, before anything of it is read.

Nothing is ever extracted: a member is read into memory, up to a limit. A zip is refused where it is too large, or
unpacks to too much; a member where no honest hand could have put it there: a link or another special file, a name that
climbs out of its folder, encryption, a method other than deflate, or a ratio of compression that no text reaches.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from minilm.errors import DataError
from minilm.i18n import tr

# What zipfile raises where a zip is not what it says.
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OSError, OverflowError,
          IndexError, MemoryError)  # fmt: skip
LINK_OR_SPECIAL = {0o020000, 0o060000, 0o010000, 0o120000, 0o140000}  # device, block device, pipe, link, socket
END = b"PK\x05\x06"  # of the record that ends a zip
ENTRY = 300  # bytes of a member in the list of contents, its name included
SLACK = 1 << 16  # bytes up to which no ratio is asked of a member: a short file of one letter compresses without end


@dataclass(frozen=True)
class Limits:
    """What one student's hand-in may have.

    source: bytes of a file that is read. archive: bytes of a zip. unpacked: bytes of all its members together.
    members: files, in a zip or a folder. ratio: bytes of a member that is read to bytes of its compressed form.
    """

    source: int = 1 << 20
    archive: int = 1 << 24
    unpacked: int = 1 << 26
    members: int = 1000
    ratio: int = 200


STUDENT = Limits()
DOWNLOAD = Limits(
    source=STUDENT.archive, archive=1 << 34, unpacked=1 << 36, members=200_000, ratio=1 << 30
)  # of an LMS


class Refused(DataError):
    """A hand-in that is not read, and why."""


@dataclass(frozen=True)
class Item:
    """A file that can be read once. parts: its path, as it may be printed. problem: why it is not to be read, or ""."""

    parts: tuple[str, ...]
    read: Callable[[int], bytes] = field(compare=False)
    problem: str = ""

    @property
    def path(self) -> str:
        return "/".join(self.parts)


def zip_items(archive: bytes | Path, limits: Limits = STUDENT) -> list[Item]:
    """The files in a zip, each with a way to read it. Refused where the zip is none, or breaks a rule above."""
    size = len(archive) if isinstance(archive, bytes) else archive.stat().st_size
    if size > limits.archive:
        raise Refused(tr("the zip has {size} bytes; {most} are the most", size=size, most=limits.archive))
    _check_directory(archive, limits)
    try:
        opened = zipfile.ZipFile(io.BytesIO(archive) if isinstance(archive, bytes) else archive)
    except BROKEN as error:
        raise Refused(tr("the zip is damaged, or none ({reason})", reason=_reason(error))) from error
    members = [member for member in opened.infolist() if not member.is_dir()]
    if len(opened.infolist()) > limits.members:
        raise _too_many(limits)
    if sum(member.file_size for member in members) > limits.unpacked:
        raise Refused(tr("unpacked, the zip has more than {most} bytes", most=limits.unpacked))
    return [_item(opened, member, limits) for member in members]


def _item(opened: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> Item:
    name = _name(member)

    def read(most: int) -> bytes:
        if member.file_size > most:
            raise _too_long(name, most)
        ratio = member.file_size // max(member.compress_size, 1)
        if member.file_size > SLACK and ratio > limits.ratio:
            raise Refused(
                tr("{name} unpacks to {ratio} times its size, as no text does", name=printable(name), ratio=ratio)
            )
        try:
            with opened.open(member) as file:
                data = file.read(most + 1)
        except BROKEN as error:
            raise Refused(tr("the zip is damaged, or none ({reason})", reason=_reason(error))) from error
        if len(data) > most:
            raise _too_long(name, most)
        return data

    return Item(tuple(map(printable, name.split("/"))), read, _problem(member, name))


def _problem(member: zipfile.ZipInfo, name: str) -> str:
    """Why a member is not to be read, or ""."""
    parts, shown = name.split("/"), printable(name)
    if (member.external_attr >> 16) & 0o170000 in LINK_OR_SPECIAL:
        return tr("{file} is a link or no file at all", file=shown)
    if ".." in parts or not all(parts) or "\\" in name or "\0" in name or ":" in parts[0]:
        return tr("the zip holds a file that would lie outside of it: {name}", name=shown)
    if member.flag_bits & 0x1:
        return tr("the zip is encrypted ({name})", name=shown)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return tr("{name} is compressed in a way that is not usual; make the zip anew", name=shown)
    return ""


def _check_directory(archive: bytes | Path, limits: Limits) -> None:
    """Refused for a list of contents too long to be read into memory, which zipfile would do before anybody asks."""
    tail = archive[-(1 << 16) - 22 :] if isinstance(archive, bytes) else _tail(archive)
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + 22:
        raise Refused(tr("the zip is damaged, or none ({reason})", reason=tr("it has no end")))
    members, length = struct.unpack("<HL", tail[at + 10 : at + 16])
    large = limits.archive >= 1 << 32 and (members == 0xFFFF or length == 0xFFFFFFFF)  # which says: look elsewhere
    if not large and (members > limits.members or length > ENTRY * limits.members):
        raise _too_many(limits)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 22))
        return file.read()


def _name(member: zipfile.ZipInfo) -> str:
    """The name in the zip. Many programs write UTF-8 without saying so, which zipfile then reads as cp437."""
    if member.flag_bits & 0x800:
        return member.orig_filename
    try:
        return member.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return member.orig_filename


def printable(name: str) -> str:
    """A name that can be printed and written anywhere: what is no text, and what steers a terminal, as \\xff."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def _too_many(limits: Limits) -> Refused:
    return Refused(tr("there are more than {most} files; hand in the one that was asked for", most=limits.members))


def _too_long(name: str, most: int) -> Refused:
    return Refused(tr("{name} has more than {most} bytes", name=printable(name), most=most))


def _reason(error: BaseException) -> str:
    return printable(str(error))[:200] or type(error).__name__
