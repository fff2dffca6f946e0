"""The student's file: of an answer nothing is left, and what is left is a file that runs and says what is unsolved."""

import ast
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest
from planted import plant

from minilm.course import find_lessons, load
from minilm.course.banks import read_about
from minilm.errors import DataError
from minilm.homework.stripping import student_source, without_comments

ROOT = Path(__file__).parents[2]
ABOUTS = find_lessons(ROOT / "lessons")
TASKS = [(about, task) for about in ABOUTS for task in load(about).tasks.values()]
STUDENT = {about.short: student_source(about) for about in ABOUTS}

each_lesson = pytest.mark.parametrize("about", ABOUTS, ids=lambda about: about.short)
each_task = pytest.mark.parametrize(("about", "task"), TASKS, ids=[task.number for _, task in TASKS])

LAYOUT = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def functions(source: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def text_of(source: str, node: ast.AST) -> str:
    return "\n".join(source.split("\n")[node.lineno - 1 : node.end_lineno])


def tokens(code: str) -> Counter:
    """How often each token occurs, comments included, layout not."""
    read = tokenize.generate_tokens(io.StringIO(code + "\n").readline)
    return Counter(token.string for token in read if token.type not in LAYOUT)


def words(source: str) -> set[str]:
    return set(re.findall(r"[^\W\d]\w*", source))


def given(task, source: str) -> str:
    """What a student may see of a reference: its head, docstring and kept statements, from an unparsed tree."""
    node = functions(source)[task.name]
    shown = ast.FunctionDef(node.name, node.args, node.body[: 1 + task.keep], [], node.returns, lineno=0)
    return ast.unparse(ast.fix_missing_locations(shown))


@each_lesson
def test_the_file_runs_and_each_task_says_that_it_is_unsolved(about):
    namespace: dict = {"__name__": "submission"}
    exec(compile(STUDENT[about.short], "student", "exec"), namespace)
    for task in load(about).tasks.values():
        n = task.function.__code__.co_argcount
        assert namespace[task.name].__doc__ == task.function.__doc__
        assert namespace[task.name].__code__.co_varnames[:n] == task.function.__code__.co_varnames[:n]
        if not task.worked and not task.keep:
            with pytest.raises(NotImplementedError, match=rf"^{re.escape(task.number)}: \S"):
                namespace[task.name](*[None] * n)


@each_task
def test_no_token_of_an_answer_is_left(about, task):
    """The function's tokens are those of what is given and of one raise: not a name, not a sign, not a comment more."""
    reference = (about.folder / "tasks.py").read_text("utf-8")
    node = functions(STUDENT[about.short])[task.name]
    shown = text_of(STUDENT[about.short], node)
    if task.worked:
        assert shown == text_of(reference, functions(reference)[task.name])
        return
    raised = node.body[-1]
    assert isinstance(raised, ast.Raise) and raised.exc.func.id == "NotImplementedError"
    (said,) = [argument.value for argument in raised.exc.args]
    assert said.startswith(f"{task.number}: ")
    assert said[:-2].removeprefix(f"{task.number}: ") in " ".join(task.function.__doc__.split())
    left = tokens(shown) - tokens(text_of(STUDENT[about.short], raised).strip())
    assert left - tokens(as_written(reference, task)) == Counter()
    assert not any(token.startswith("#") for token in left)
    alone = ast.FunctionDef(node.name, node.args, node.body[:-1], [], node.returns, lineno=0)
    assert ast.unparse(ast.fix_missing_locations(alone)) == given(task, reference)


def as_written(source: str, task) -> str:
    """Head, docstring and kept statements by the lines of the reference, comments and all."""
    node = functions(source)[task.name]
    last = node.body[task.keep]
    return "\n".join(source.split("\n")[node.lineno - 1 : last.end_lineno])


@each_lesson
def test_no_name_of_an_answer_is_in_the_file(about):
    """Names that an answer makes up, and that nothing shown has, occur nowhere in the whole file."""
    reference = (about.folder / "tasks.py").read_text("utf-8")
    tree = functions(reference)
    bank = load(about)
    shown = "\n".join(ast.unparse(tree[t.name]) if t.worked else given(t, reference) for t in bank.tasks.values())
    for task in bank.tasks.values():
        hidden = [] if task.worked else tree[task.name].body[1 + task.keep :]
        made = {n.id for part in hidden for n in ast.walk(part) if isinstance(n, ast.Name)}
        made |= {n.attr for part in hidden for n in ast.walk(part) if isinstance(n, ast.Attribute)}
        modules = {"np", "F", "math", about.title}
        assert (made - words(shown) - modules) & words(STUDENT[about.short]) - words(about.title) == set(), task.number


@each_lesson
def test_lines_are_short_and_imports_are_used_or_tools(about):
    source = STUDENT[about.short]
    assert [line for line in source.split("\n") if len(line) > 120 or line != line.rstrip()] == []
    for node in ast.parse(source).body:
        for alias in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
            used = (alias.asname or alias.name) in words(source.split("# %%", 3)[3])
            assert used or alias.name in ("math", "numpy", "minilm.functional")
    assert "minilm.course" not in source and "@task" not in source


PLANTED = '''
"""Answers. SECRET"""

import math, bisect, heapq as h
from collections import Counter, OrderedDict

import numpy as np

from minilm.course import task

LIMIT = 3  # SECRET of a limit
HIDDEN = 5


def doubled(x):
    return 2 * x * LIMIT


def unused(x):
    return HIDDEN


@task("L7.1", points=2, keep=2)
def square(
    x,  # SECRET argument
    *,
    y: int = HIDDEN2,
):
    """É x times x, "quoted" and 'quoted'; x: floats.

    More.
    """
    # SECRET before
    é = OrderedDict(a="# no comment", b=h)  # SECRET beside

    def inner(z):  # SECRET
        # SECRET alone
        return z * """# text
    # text too"""

    # SECRET after
    return x * y + secret_sum(Counter(bisect.bisect(x, y)))


@task("L7.2", plain=True)
def total(x):
    """The sum."""; first = 1; return float(x.sum()) + first


@task("L7.3", worked=True)
def shown(x):
    """Shown whole."""
    return doubled(x)  # and why
'''.replace("HIDDEN2", "HIDDEN")


class TestPlanted:
    def student(self, tmp_path, tasks: str) -> str:
        folder = plant(tmp_path / "l07_squares", tasks_py=tasks, checks_py=None, mutants_py=None, variants_py=None)
        return student_source(read_about(folder))

    def test_nothing_hidden_comes_out(self, tmp_path):
        source = self.student(tmp_path, PLANTED)
        assert "SECRET" not in source and "secret_sum" not in source and "Counter" not in source
        assert "unused" not in source and "first" not in source
        assert 'é = OrderedDict(a="# no comment", b=h)\n' in source
        assert (
            '        return z * """# text\n    # text too"""\n\n    raise NotImplementedError("L7.1: É x times x, '
            in source
        )
        assert "return doubled(x)  # and why" in source
        assert "def doubled(x):\n    return 2 * x * LIMIT\n" in source and "LIMIT = 3\n" in source
        assert (
            "from collections import OrderedDict\n" in source
            and "import math, heapq as h\nfrom" in source
            and "bisect" not in source
        )
        assert "HIDDEN = 5" in source  # which a default still needs
        namespace: dict = {}
        exec(source, namespace)
        assert namespace["shown"](2) == 12
        with pytest.raises(NotImplementedError, match="L7.2: The sum."):
            namespace["total"](1)

    @pytest.mark.parametrize("keep", [1, 2, 5])
    def test_an_answer_that_is_kept_whole_is_refused(self, tmp_path, keep):
        tasks = (
            f'from minilm.course import task\n@task("L7.1", keep={keep})\ndef f(x):\n    """Text."""\n    return x\n'
        )
        with pytest.raises(DataError, match=rf"L7.1 cannot be stripped: .* more statements than the {keep} kept"):
            self.student(tmp_path, tasks)

    def test_a_task_without_a_text_is_refused(self, tmp_path):
        tasks = 'from minilm.course import task\n@task("L7.1")\ndef f(x):\n    x = 1\n    return x\n'
        with pytest.raises(DataError, match="L7.1 cannot be stripped"):
            self.student(tmp_path, tasks)

    def test_a_lesson_without_answers_is_refused(self, tmp_path):
        folder = plant(tmp_path / "l07_squares")
        (folder / "tasks.py").unlink()
        with pytest.raises(DataError, match="l07 has no tasks.py"):
            student_source(read_about(folder))


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("a = 1  # b", "a = 1"),
        ("a = '# b'  # c", "a = '# b'"),
        ("# a\nb = 1", "b = 1"),
        ("a = (\n    1,  # one\n    # none\n    2,\n)", "a = (\n    1,\n    2,\n)"),
        ('a = """\n# b\n"""', 'a = """\n# b\n"""'),
        ("é = 'é'  # é", "é = 'é'"),
    ],
)
def test_comments_go_and_nothing_else(code, left):
    assert without_comments(code) == left
