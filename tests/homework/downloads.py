"""Made-up downloads, as Moodle and Canvas lay them out, and zips that no honest hand made."""

import io
import json
import stat
import struct
import zipfile
import zlib
from pathlib import Path

GOOD = b"def scores(query, key):\n    return query\n\n\ndef attention_weights(scores, mask):\n    return scores\n"
SOME = b"def scores(query, key):\n    return query\n"
NAMES = ["scores", "attention_weights", "reading_mask"]


def zipped(files: dict, **member) -> bytes:
    """A zip of name -> bytes, each member with these attributes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for attribute, value in member.items():
                setattr(info, attribute, value)
            archive.writestr(info, data)
    return out.getvalue()


def link(name: str, target: str) -> bytes:
    return zipped({name: target.encode()}, external_attr=(stat.S_IFLNK | 0o777) << 16, create_system=3)


def put(folder: Path, files: dict) -> Path:
    """Write path -> bytes below a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def notebook(*cells: str) -> bytes:
    made = [{"cell_type": "markdown", "source": "# Text"}]
    made += [{"cell_type": "code", "source": c.splitlines(keepends=True), "outputs": [], "metadata": {}} for c in cells]
    return json.dumps({"cells": made, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}).encode()


def lying(size: int) -> bytes:
    """A zip whose member says that it has 10 bytes and unpacks to `size`."""
    data = b"#" * size
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packed.compress(data) + packed.flush()
    name = b"l03.py"
    head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, zlib.crc32(data), len(body), 10, len(name), 0) + name
    listed = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, zlib.crc32(data), len(body), 10, len(name), 0,
                         0, 0, 0, 0, 0) + name  # fmt: skip
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(listed), len(head) + len(body), 0)
    return head + body + listed + end


MOODLE_FOLDERS = {
    "Ana Díaz López_1234567_assignsubmission_file_/l03.py": GOOD,
    "Ana Díaz López_1234567_assignsubmission_onlinetext_/onlinetext.html": b"<p>hola</p>",
    "Bruno Ñúñez_1234568_assignsubmission_file_/entrega/l03.zip": zipped({"l03.py": GOOD, "homework.json": b"{}"}),
    "Participant_99_assignsubmission_file/l03.ipynb": notebook(SOME.decode()),
    "Equipo 4_assignsubmission_file_/l03.py": SOME,
    "Carla Paz_1234570_assignsubmission_file_/tarea.pdf": b"%PDF",
    "Dora Sol_1234571_assignsubmission_onlinetext_/onlinetext.html": b"<p>import os</p>",
}

MOODLE_FLAT = {
    "Ana Díaz López_1234567_assignsubmission_file_l03.py": GOOD,
    "Bruno Ñúñez_1234568_assignsubmission_file_mi_tarea_3.py": SOME,
}

CANVAS = {
    "diazana_4711_900001_l03-1.py": GOOD,
    "nunezbruno_LATE_4712_900002_l03.zip": zipped({"work/l03.py": GOOD}),
    "o_brienpat_4713_900003_l03.ipynb": notebook(SOME.decode()),
    "solteam_4714_900004_helpers.py": b"x = 1\n",
    "solteam_4714_900005_l03.py": SOME,
    "anon_x7Gh2_900006_l03.py": GOOD,
    "LATE_anon_y8Gh3_900007_l03.py": SOME,
}
