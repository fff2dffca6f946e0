"""The wheel works away from the repository; the frame's files say what is true."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

pytestmark = pytest.mark.xdist_group("packaging")  # one process builds and installs for all


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of a new environment with the wheel. Its dependencies are the running environment's, through a .pth
    file, whose folders come after its own: nothing is downloaded, and an editable minilm there is not seen."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False)
    programs = home / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    find = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = subprocess.run([python, "-c", find], capture_output=True, text=True, check=True).stdout.strip()
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(own, "shared.pth").write_text("\n".join(sorted(shared)))
    return programs


@pytest.fixture
def run(installed, tmp_path):
    """Run a program of the new environment in an empty folder, and give its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(program: str, *args: str) -> str:
        ran = subprocess.run(
            [installed / program, *args],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**environment, "MINILM_CACHE": str(tmp_path / "cache")},
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    return run


class TestWheel:
    def test_carries_what_is_read_at_run_time_and_no_test(self, wheel):
        names = set(zipfile.ZipFile(wheel).namelist())
        assert {"minilm/lessons/README.md", "minilm/py.typed", "minilm/locale/es/LC_MESSAGES/minilm.mo"} <= names
        data = {f"minilm/{path}" for path in tracked("data")}
        assert data and data <= names
        assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]

    def test_is_the_one_that_runs(self, run, installed):
        where = Path(run("python", "-c", "import minilm; print(minilm.__file__)").strip())
        assert where.is_relative_to(installed.parent)

    def test_doctor(self, run):
        found = json.loads(run("minilm", "doctor", "--json"))
        assert found["versions"]["minilm"] == "0.1.0"
        assert found["cache"]["writable"]

    def test_data_list(self, run):
        assert "pydocs" in run("minilm", "data", "list")

    @pytest.mark.slow
    def test_a_short_training(self, run, tmp_path):
        run("minilm", "pretrain", "gpt", "--data", "pydocs", "--config", "tiny", "--steps", "20", "--out", "first-run")
        folder = tmp_path / "first-run"
        assert list(folder.rglob("*.safetensors")), sorted(folder.rglob("*"))
        logs = [json.loads(line) for path in folder.rglob("*.jsonl") for line in path.read_text().splitlines()]
        steps = [line["step"] for line in logs if "step" in line]
        assert max(steps) in (19, 20)
        losses = [line["loss"] for line in logs if "loss" in line]
        assert losses and all(0 < loss < 20 for loss in losses)


def tracked(folder: str) -> list[str]:
    """The repository's files in a folder; what lies there, where git is not."""
    ran = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode == 0 and ran.stdout:
        return ran.stdout.split("\n")[:-1]
    return [str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()]


def modules_after(statements: str) -> set[str]:
    """The names of the modules that a new process holds after the statements."""
    code = f"{statements}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


class TestImport:
    def test_imports_nothing(self):
        """Said by what a process holds, which a busy machine does not change; it is as quick as what it imports."""
        assert modules_after("import minilm") - modules_after("import importlib, typing") == {"minilm"}

    def test_no_public_name_brings_what_only_terminals_pictures_or_gpus_need(self):
        brought = modules_after("import minilm\nfor name in dir(minilm): getattr(minilm, name)")
        assert "numpy" in brought and "minilm.transfer" in brought
        for name in ("rich", "typer", "pydantic", "matplotlib", "graphviz", "gguf", "cupy", "torch", "hypothesis"):
            assert name not in brought

    def test_gives_every_public_name(self):
        import minilm

        for name in (
            "Tensor grad no_grad gradcheck fast backend functional nn optim models text generate training"
        ).split():
            assert name in dir(minilm)
            assert getattr(minilm, name) is getattr(minilm, name)

    def test_gives_functions_where_a_function_is_promised(self):
        import minilm

        for name in ("Tensor", "grad", "no_grad", "gradcheck", "fast", "generate"):
            assert callable(getattr(minilm, name)), name

    def test_names_what_is_missing(self):
        import minilm

        with pytest.raises(AttributeError, match=r"'minilm' has no attribute 'tensor'"):
            minilm.tensor  # noqa: B018


class TestProject:
    def test_needs_what_the_contract_says_and_no_more(self):
        names = {dependency.partition(">=")[0] for dependency in PROJECT["project"]["dependencies"]}
        assert names == {"numpy", "matplotlib", "safetensors", "typer", "rich", "regex", "threadpoolctl", "hypothesis"}
        assert PROJECT["project"]["requires-python"] == ">=3.11"

    def test_pre_commit_runs_the_tools_that_the_environment_has(self):
        config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
        hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
        assert {repository["repo"] for repository in config["repos"]} == {"local"}
        assert {hook["id"] for hook in hooks} == {"ruff-check", "ruff-format", "mypy"}
        wanted = {requirement.partition(">=")[0] for requirement in PROJECT["project"]["optional-dependencies"]["test"]}
        for hook in hooks:
            program, *words = hook["entry"].split()
            assert Path(program).parent == Path(".venv/bin") and Path(program).name in wanted
            here = Path(sys.executable).parent / Path(program).name
            command = [here, *[word for word in words if not word.startswith("--")], "--help"]
            assert subprocess.run(command, capture_output=True, check=False).returncode == 0, command

    def test_the_reading_map_names_files_that_are_there(self):
        named = re.findall(
            r"`((?:minilm|tests)/[\w/.]+)`", (ROOT / "lessons" / "README.md").read_text(encoding="utf-8")
        )
        assert len(named) > 20
        assert [path for path in named if not (ROOT / path).exists()] == []

    @pytest.mark.parametrize(
        "target", ["tour", "lessons", "lessons-check", "test", "thorough", "lint", "bench", "messages", "help"]
    )
    def test_make_knows_its_targets(self, target, tmp_path):
        command = ["make", "--dry-run", f"VENV={tmp_path}/new", target]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        if target != "help":
            assert "-m venv" in ran.stdout and "install --editable" in ran.stdout

    def test_make_lists_its_targets(self):
        listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for target in ("tour", "lessons", "lessons-check", "test", "thorough", "lint", "bench", "messages"):
            assert f"make {target}" in listed

    def test_make_refuses_an_old_python_in_one_sentence(self, tmp_path):
        old = tmp_path / "python3"
        pretend = "import sys; sys.version_info = (3, 10, 9); "
        old.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} -c "{pretend}$2"\nexit 1\n')
        old.chmod(0o755)
        command = ["make", f"VENV={tmp_path}/new", f"PYTHON={old}", "test"]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode != 0 and "Python 3.11 or newer" in ran.stderr
        assert not (tmp_path / "new").exists()

    def test_ci_runs_lint_and_the_tests(self):
        script = ROOT / ".ci" / "run"
        assert os.access(script, os.X_OK)
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
        assert [line for line in script.read_text().splitlines() if line.startswith("make")] == [
            "make lint",
            "make test",
            "make network",
            "make mutants MUTANTS='--count 64'",
        ]
