"""The student runtime of a lesson: minilm without what answers the lesson's tasks, as a wheel.

A wheel is a zip: `pip install` takes it, and Python imports from it where it stands on sys.path. Left out are every
lesson's tasks.py, mutants.py and variants.py, and what the lesson's lesson.toml names (see withholding.py).
"""

import base64
import hashlib
import importlib.metadata
import io
import re
import tomllib
import zipfile
from collections.abc import Collection, Iterator, Mapping
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
    return _wheel(runtime_files(about), _version(about), f"The student runtime of lesson {about.short}", _needs())


def build_whole_wheel() -> bytes:
    """All of minilm, with the answers and what grading needs: for a machine that grades."""
    return _wheel(package_files(), minilm.__version__, "minilm, for grading", [*_needs(), *_needs("grade")])


def _wheel(files: dict[str, bytes], version: str, summary: str, needs: list[str]) -> bytes:
    info = f"minilm-{version}.dist-info"
    files[f"{info}/METADATA"] = _metadata(version, summary, needs).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: minilm\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nminilm = minilm.cli.app:main\n"
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    return zipped(files)


def zipped(files: Mapping[str, bytes], programs: Collection[str] = ()) -> bytes:
    """A zip of these files, the same bytes each time. programs: those that can be executed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name, EARLIEST)
            mode = 0o100755 if name in programs else 0o100644
            member.external_attr, member.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    return out.getvalue()


def package_files() -> dict[str, bytes]:
    """Path -> content of every file of the package, its lessons and data in it."""
    files = {
        f"minilm/{path}": (PACKAGE / path).read_bytes() for path in _below(PACKAGE) if path.parts[0] not in LEFT_OUT
    }
    lessons, data = lessons_folder(), data_folder()
    files |= {f"minilm/lessons/{p}": (lessons / p).read_bytes() for p in _below(lessons)}
    return files | {f"minilm/data/{p}": (data / p).read_bytes() for p in _below(data)}


def runtime_files(about: About) -> dict[str, bytes]:
    """Path -> content of every file of the package that students are given."""
    files = {
        name: data
        for name, data in package_files().items()
        if not (name.startswith("minilm/lessons/") and name.rpartition("/")[2] in ANSWERS)
    }
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


def _metadata(version: str, summary: str, needs: list[str]) -> str:
    lines = ["Metadata-Version: 2.1", "Name: minilm", f"Version: {version}", f"Summary: {summary}"]
    return "\n".join([*lines, "Requires-Python: >=3.11", *(f"Requires-Dist: {need}" for need in needs), ""])


def _needs(extra: str = "") -> list[str]:
    """What minilm, or one of its extras, depends on: as its pyproject.toml says in a checkout, or its metadata."""
    project = PACKAGE.parent / "pyproject.toml"
    if project.is_file():
        said = tomllib.loads(project.read_text("utf-8"))["project"]
        return said["optional-dependencies"][extra] if extra else said["dependencies"]
    needs = importlib.metadata.requires("minilm") or []
    if not extra:
        return [need for need in needs if "extra ==" not in need]
    return [need.partition(";")[0].strip() for need in needs if re.search(rf"extra == ['\"]{extra}['\"]", need)]
