"""The student runtime of a lesson: minilm without what answers the lesson's tasks, as a wheel.

A wheel is a zip: `pip install` takes it, and Python imports from it where it stands on sys.path. Left out are every
lesson's tasks.py, mutants.py and variants.py, and what the lesson's lesson.toml names (see withholding.py).
"""

import base64
import hashlib
import importlib.metadata
import io
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import minilm
from minilm.course.banks import FILES, About, lessons_folder
from minilm.homework import assignment
from minilm.homework.withholding import guard, places, withhold
from minilm.resources import PACKAGE, data_folder

ANSWERS = {f"{name}.py" for name in FILES if name != "checks"}
LEFT_OUT = {"__pycache__", "lessons", "data"}  # of the package's folder: caches; what is taken from elsewhere
EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip can say: the same source gives the same bytes


def wheel_name(about: About) -> str:
    """minilm-0.1.0+l03-py3-none-any.whl"""
    return f"minilm-{_version(about)}-py3-none-any.whl"


def build_wheel(about: About) -> bytes:
    """The runtime of a lesson. The same source gives the same bytes."""
    files = runtime_files(about)
    info = f"minilm-{_version(about)}.dist-info"
    files[f"{info}/METADATA"] = _metadata(about).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: minilm\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nminilm = minilm.cli.app:main\n"
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    return zipped(files)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files, the same bytes each time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name, EARLIEST)
            member.external_attr, member.compress_type = 0o100644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    return out.getvalue()


def runtime_files(about: About) -> dict[str, bytes]:
    """Path -> content of every file of the package that students are given."""
    files = {
        f"minilm/{path}": (PACKAGE / path).read_bytes() for path in _below(PACKAGE) if path.parts[0] not in LEFT_OUT
    }
    lessons, data = lessons_folder(), data_folder()
    files |= {f"minilm/lessons/{p}": (lessons / p).read_bytes() for p in _below(lessons) if p.name not in ANSWERS}
    files |= {f"minilm/data/{p}": (data / p).read_bytes() for p in _below(data)}
    tasks = assignment.as_json(assignment.asked_of(about))
    files[f"minilm/lessons/{about.folder.name}/{assignment.FILE}"] = tasks.encode()
    sources = {name: data.decode("utf-8") for name, data in files.items() if name.endswith(".py")}
    changed = guard(withhold(sources, places(about.withheld)), places(about.guarded))
    return dict(sorted((files | {name: text.encode() for name, text in changed.items()}).items()))


def _below(folder: Path) -> Iterator[Path]:
    """The files of a folder, relative to it, without what Python and editors leave."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
        if path.is_file() and not hidden:
            yield relative


# ---------------------------------------------------------------------------------------------------- what a wheel says


def _version(about: About) -> str:
    return f"{minilm.__version__}+{about.short}"


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _metadata(about: About) -> str:
    lines = ["Metadata-Version: 2.1", "Name: minilm", f"Version: {_version(about)}"]
    lines += [f"Summary: The student runtime of lesson {about.short}", "Requires-Python: >=3.11"]
    return "\n".join([*lines, *(f"Requires-Dist: {need}" for need in _needs()), ""])


def _needs() -> list[str]:
    """What minilm depends on: as its pyproject.toml says in a checkout, or its installed metadata."""
    project = PACKAGE.parent / "pyproject.toml"
    if project.is_file():
        return tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    return [need for need in importlib.metadata.requires("minilm") or [] if "extra ==" not in need]
