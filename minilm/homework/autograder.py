"""An autograder for Gradescope: a zip that installs minilm in its container and runs `minilm grade` for each student.

Gradescope unpacks the zip in /autograder/source, runs setup.sh once, and then run_autograder for each submission, which
lies in /autograder/submission and is answered in /autograder/results/results.json. AUTOGRADER names another folder than
/autograder, MINILM_PYTHON another Python than the one that setup.sh made.
"""

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import minilm
from minilm.course.banks import About
from minilm.errors import ConfigError, DataError, MinilmError
from minilm.homework.assignment import asked_of
from minilm.homework.runtime import build_whole_wheel, zipped
from minilm.i18n import speaking, tr
from minilm.resources import write_atomically

LANGUAGES = ("en", "es")
SETTINGS, SECRET = "homework.json", "secret"
MOST = 1000  # files of a submission that are looked at

SETUP = """\
#!/usr/bin/env bash
# Run once, when the image is built: a Python of at least 3.11, and minilm in an environment of its own.
set -euo pipefail
root="${AUTOGRADER:-/autograder}"

fits() {
  command -v "$1" > /dev/null && "$1" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null
}

python=""
for name in python3 python3.14 python3.13 python3.12 python3.11; do
  if fits "$name"; then python="$name"; break; fi
done
if [ -z "$python" ]; then
  apt-get update
  for name in python3.13 python3.12 python3.11; do
    if apt-get install -y --no-install-recommends "$name" "$name-venv" && fits "$name"; then python="$name"; break; fi
  done
fi
if [ -z "$python" ]; then
  echo "minilm needs Python 3.11 or newer: choose a newer base image" >&2
  exit 1
fi
"$python" -m venv "$root/minilm"
"$root/minilm/bin/python" -m pip install --no-cache-dir "$root"/source/minilm-*.whl
chmod -R go-rwx "$root/source"
"$root/minilm/bin/minilm" doctor
"""

RUN = """\
#!/usr/bin/env bash
# Run for each submission.
root="${AUTOGRADER:-/autograder}"
exec "${MINILM_PYTHON:-$root/minilm/bin/python}" -m minilm.homework.autograder "$root"
"""


def build(about: About, language: str, secret: bytes) -> bytes:
    """The zip for a lesson. language: that of what students read. secret: the course's, for the hidden cases.

    It holds the answers and the secret: it is for Gradescope alone. Errors: DataError where the lesson's answers are
    not here; ConfigError for another language.
    """
    if language not in LANGUAGES:
        raise ConfigError(tr("language is {got!r}; there are {known}", got=language, known=", ".join(LANGUAGES)))
    asked_of(about)
    if not (about.folder / "tasks.py").is_file():
        raise DataError(
            tr("{lesson} has no tasks.py, so there is nothing to grade against; use the whole minilm",
               lesson=about.short)
        )  # fmt: skip
    settings = {"lesson": about.short, "language": language}
    files = {
        "setup.sh": SETUP.encode(),
        "run_autograder": RUN.encode(),
        SETTINGS: (json.dumps(settings) + "\n").encode(),
        SECRET: secret + b"\n",
        f"minilm-{minilm.__version__}-py3-none-any.whl": build_whole_wheel(),
    }
    return zipped(files, ("setup.sh", "run_autograder"))


# ------------------------------------------------------------------------------------------------- in Gradescope's box


def run(root: Path) -> None:
    """Grade the submission of a folder like /autograder, and write its results.json.

    Errors: DataError where it could not be graded through no fault of the student's: there are no results then, and
    Gradescope says so.
    """
    source = root / "source"
    settings = json.loads((source / SETTINGS).read_text("utf-8"))
    with tempfile.TemporaryDirectory(prefix="minilm-") as place, speaking(settings["language"]):
        given, out = Path(place, "given"), Path(place, "out")
        copy(root / "submission", given / student_of(root / "submission_metadata.json"))
        command = [
            *(sys.executable, "-m", "minilm", "grade", str(given), "--lesson", settings["lesson"], "--out", str(out)),
            *("--jobs", "1", "--lang", settings["language"], "--secret-file", str(source / SECRET)),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        found = list(out.glob("students/*/results.json"))
        if ran.returncode or len(found) != 1:
            raise DataError(
                tr("the submission could not be graded (status {status}): {said}", status=ran.returncode,
                   said=ran.stderr.strip()[-2000:])
            )  # fmt: skip
        write_atomically(root / "results" / "results.json", found[0].read_bytes())


def student_of(metadata: Path) -> str:
    """Who hands in, by Gradescope's metadata: the first one's e-mail address, else number; of a group, one of it."""
    try:
        users = json.loads(metadata.read_text("utf-8"))["users"]
        first = min(users, key=lambda user: str(user["id"]))
        return re.sub(r"[^\w.@+-]", "-", str(first.get("email") or first["id"]).lower()).strip(".") or "student"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "student"


def copy(source: Path, target: Path) -> None:
    """The files of a submission in a student's folder, links as links. Where there is none, a file that says so."""
    target.mkdir(parents=True)
    files = [Path(folder, name) for folder, _, names in os.walk(source) for name in sorted(names)]
    copied = 0
    for path in files[: MOST + 1]:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            place.symlink_to(os.readlink(path))
        elif stat.S_ISREG(path.stat().st_mode):
            place.write_bytes(path.read_bytes())
        copied += 1
    if not copied:
        (target / "nothing.txt").touch()


def main(arguments: list[str]) -> int:
    """Exit status 0 where there are results."""
    try:
        run(Path(arguments[0] if arguments else "/autograder"))
    except (MinilmError, OSError, ValueError, KeyError) as error:
        print(f"minilm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
