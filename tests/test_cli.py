"""The roof: the list of commands, languages, and errors, each one sentence on stderr and an exit status."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from minilm.cli import app
from minilm.errors import CheckpointError, ConfigError, DataError, MinilmError, TrainingError


def run(*args: str, program: str = "", **environment: str) -> subprocess.CompletedProcess:
    """`minilm args` in a process of its own, after the statements of `program` (which may plant a command)."""
    code = f"import sys\nfrom minilm.cli import app\n{program}\nsys.exit(app.main({list(args)!r}))"
    env = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60, check=False
    )


def planted(body: str) -> str:
    """Statements that add the command `minilm planted`, whose body this is."""
    return f"""
import types, errno, os
module = types.ModuleType("planted")
sys.modules["planted"] = module
def command() -> None:
    {body}
module.command = command
listed = app.commands
app.commands = lambda: {{**listed(), "planted": ("planted:command", "planted")}}
"""


SAY_IMPORTED = "import atexit\natexit.register(lambda: print('IMPORTED', *sys.modules))"
ROOF = {"minilm", "minilm.cli", "minilm.cli.app", "minilm.errors", "minilm.i18n"}
HEAVY = {"numpy", "matplotlib", "pydantic", "regex", "rich", "safetensors", "threadpoolctl"}
HEAVY |= {"minilm.autograd", "minilm.training"}


def imported(ran: subprocess.CompletedProcess) -> set[str]:
    """The modules that the process held at its end, if it ran after SAY_IMPORTED."""
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.rpartition("IMPORTED ")[2].split())


def foreign(modules: set[str]) -> set[str]:
    """The packages among them that are neither Python's nor ours."""
    return {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"minilm", "__main__"}


@pytest.fixture(scope="module")
def typer_alone() -> set[str]:
    """What typer brings by itself."""
    code = "import sys, typer; print('IMPORTED', *sys.modules)"
    return foreign(imported(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)))


class TestList:
    @pytest.mark.parametrize("name", [*app.commands(), "pretrain gpt", "pretrain bert", "data list", "data show"])
    def test_every_command_loads_and_has_help_and_imports_no_more_than_that_needs(self, name, typer_alone):
        ran = run(*name.split(), "--help", program=SAY_IMPORTED)
        assert f"minilm {name}" in ran.stdout
        modules = imported(ran)
        assert foreign(modules) - typer_alone == set(), "imported before the command is called"
        ours = {module for module in modules if module.partition(".")[0] == "minilm"}
        assert [module for module in ours - ROOF if not module.startswith("minilm.cli.")] == []

    @pytest.mark.parametrize("language", ["en", "es"])
    def test_help_lists_the_table_and_imports_no_command(self, language, typer_alone):
        ran = run("--help", program=SAY_IMPORTED, MINILM_LANG=language)
        for name in app.commands():
            assert f"\n  {name} " in ran.stdout
        modules = imported(ran)
        assert {module for module in modules if module.partition(".")[0] == "minilm"} == ROOF
        assert foreign(modules) - typer_alone == set()

    @pytest.mark.parametrize(
        ("command", "needed"),
        [
            ("--version", set()),
            ("data list", set()),
            ("doctor", {"numpy", "threadpoolctl"}),
            ("sizes", {"numpy", "minilm.autograd", "pydantic"}),
        ],
    )
    def test_a_command_that_only_tells_imports_no_more_than_it_needs(self, command, needed, typer_alone):
        modules = imported(run(*command.split(), program=SAY_IMPORTED))
        assert (modules & HEAVY) - typer_alone <= needed

    def test_help_is_quick(self):
        def seconds():
            start = time.perf_counter()
            run("--help")
            return time.perf_counter() - start

        assert any(seconds() < 0.4 for _ in range(5)), "not once in five tries below 0.4 s"

    def test_without_a_command_it_shows_the_help(self):
        assert run().stdout.strip() == run("--help").stdout.strip() != ""

    def test_version(self):
        assert run("--version").stdout == "minilm 0.1.0\n"

    def test_an_unknown_command_names_what_is_near(self):
        ran = run("docter")
        assert ran.returncode == 2
        assert "'docter'" in ran.stderr and "'doctor'" in ran.stderr

    def test_python_m_minilm(self):
        ran = subprocess.run([sys.executable, "-m", "minilm", "--version"], capture_output=True, text=True, check=True)
        assert ran.stdout.startswith("minilm ")

    def test_speaks_spanish(self):
        assert "Qué tiene este equipo" in run("--help", MINILM_LANG="es").stdout


class TestErrors:
    @pytest.mark.parametrize("kind", ["MinilmError", "ConfigError", "DataError", "CheckpointError", "TrainingError"])
    def test_ours_is_its_sentence(self, kind):
        body = f"import minilm.errors; raise minilm.errors.{kind}('heads 3 does not divide width 8')"
        ran = run("planted", program=planted(body))
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr == "minilm: heads 3 does not divide width 8\n"

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ("raise OSError(errno.ENOSPC, 'No space', 'weights.tmp')", ["disk is full", "weights.tmp"]),
            ("raise OSError(errno.ENOSPC, 'No space')", ["disk is full"]),
            ("raise OSError(errno.EDQUOT, 'quota')", ["disk is full"]),
            ("open('/dev/full', 'w', buffering=1).write('x' * 9999 + chr(10))", ["disk is full"]),
            ("raise PermissionError(errno.EACCES, 'no', 'runs')", ["may not", "runs"]),
            ("raise OSError(errno.EROFS, 'no', 'runs')", ["may not", "runs"]),
            ("open('no-such-file.txt')", ["no file", "no-such-file.txt"]),
            ("import numpy; numpy.empty((10**9, 10**9))", ["memory is full"]),
            ("raise MemoryError", ["memory is full"]),
        ],
    )
    def test_the_machines_is_one_sentence(self, body, words):
        ran = run("planted", program=planted(body))
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr.startswith("minilm: ") and ran.stderr.count("\n") == 1, ran.stderr
        for word in words:
            assert word in ran.stderr

    def test_one_of_ours_may_name_its_status(self):
        body = "import minilm.errors as e; error = e.TrainingError('stopped'); error.exit_status = 130; raise error"
        ran = run("planted", program=planted(body))
        assert (ran.returncode, ran.stderr) == (130, "minilm: stopped\n")

    def test_debug_shows_where(self):
        ran = run(
            "planted", program=planted("import minilm.errors; raise minilm.errors.DataError('x')"), MINILM_DEBUG="1"
        )
        assert ran.returncode == 1
        assert "Traceback" in ran.stderr and ran.stderr.endswith("minilm: x\n")

    def test_an_unforeseen_one_keeps_its_traceback_and_says_how_to_report(self):
        ran = run("planted", program=planted("raise ZeroDivisionError('by nothing')"))
        assert ran.returncode == 1
        assert "Traceback" in ran.stderr and "ZeroDivisionError: by nothing" in ran.stderr
        assert "minilm doctor" in ran.stderr.splitlines()[-1]

    def test_an_unforeseen_oserror_keeps_its_traceback(self):
        ran = run("planted", program=planted("raise OSError(errno.EIO, 'bad')"))
        assert ran.returncode == 1 and "Traceback" in ran.stderr

    def test_an_exit_status_of_a_command_is_kept(self):
        assert run("planted", program=planted("import typer; raise typer.Exit(7)")).returncode == 7

    def test_ctrl_c(self):
        body = "import time; print('ready', flush=True); time.sleep(60)"
        # a process that a script started in the background ignores SIGINT, and so would its children
        body = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {body}"
        code = f"import sys\nfrom minilm.cli import app\n{planted(body)}\nsys.exit(app.main(['planted']))"
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
        assert process.returncode == 130
        assert stderr == "minilm: stopped by Ctrl-C\n"

    def test_a_closed_pipe_is_no_fault(self):
        body = "print('x' * 10**6)"
        code = f"import sys\nfrom minilm.cli import app\n{planted(body)}\nsys.exit(app.main(['planted']))"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.read(1)
            process.stdout.close()
            stderr = process.stderr.read()
        assert b"Traceback" not in stderr

    def test_explain_knows_every_kind(self):
        for error in (MinilmError("a"), ConfigError("a"), DataError("a"), CheckpointError("a"), TrainingError("a")):
            assert app.explain(error) == "a"
        assert app.explain(OSError(errno.EIO, "x")) is None
        assert app.explain(ValueError("x")) is None


def test_in_process():
    result = CliRunner().invoke(app.typer_app(), ["--version"])
    assert (result.exit_code, result.output) == (0, "minilm 0.1.0\n")
