"""Mistakes with BERT and transfer that people make, planted in a copy of minilm: the named test catches each."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PLANTED = [
    (file, entry)
    for listed in ("models/planted_bert.toml", "transfer/planted_transfer.toml")
    for file, entries in tomllib.loads((TESTS / listed).read_text("utf-8")).items()
    for entry in entries
]


@pytest.mark.parametrize(("file", "entry"), PLANTED, ids=[entry["why"] for _, entry in PLANTED])
def test_what_is_to_be_replaced_is_there_just_once(file, entry):
    assert (TESTS.parent / file).read_text("utf-8").count(entry["old"]) == 1
    path, *_, name = entry["test"].split("::")
    assert f"def {name}(" in (TESTS / path).read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("file", "entry"), PLANTED, ids=[entry["why"] for _, entry in PLANTED])
def test_the_named_test_catches_it(tmp_path, file, entry):
    shutil.copytree(TESTS.parent / "minilm", tmp_path / "minilm", ignore=shutil.ignore_patterns("__pycache__"))
    planted = tmp_path / file
    planted.write_text(planted.read_text("utf-8").replace(entry["old"], entry["new"]), "utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", str(TESTS / entry["test"])]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout[-2000:]
    assert "1 failed" in done.stdout and "error" not in done.stdout.splitlines()[-1]
