"""A worker's answers lead to the verdicts that the same function's own answers do."""

import time

import numpy as np
import pytest
from submissions import of_task, reference, same

from minilm.course import Local, Raised, load, prove
from minilm.course.marks import Task
from minilm.homework.limits import Limits
from minilm.homework.remote import Remote

LESSONS = ("l00", "l03")


def marks(lesson):
    bank = load(lesson)
    return [*bank.tasks.values(), *bank.variants, *bank.mutants]


def every():
    return [(lesson, i) for lesson in LESSONS for i in range(len(marks(lesson)))]


# A plain task, one with two results, those that call earlier tasks; variants; mutants.
SAMPLE = [("l00", i) for i in (4, 5, 20, 60)] + [("l03", i) for i in (4, 6, 12, 40, 70, 100)]


def near(a, b) -> bool:
    """Equal but for rounding: an array that crossed lies in C's order, and a product of others may be summed anew."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype.kind == b.dtype.kind == "f":
        return a.shape == b.shape and np.allclose(a, b, rtol=1e-12, atol=1e-12, equal_nan=True)
    return same(a, b)


def compare(lesson, index, zygote, references, examples):
    """Every claim's verdict about a mark's function: here, and through a worker."""
    bank = load(lesson)
    mark = marks(lesson)[index]
    task = bank.tasks[mark.number]
    source = of_task(bank.about.folder, mark)
    there: dict = {}
    exec(source, there)  # rather than mark.function, whose own name may mean another mutant in a bank's file
    local = Local(bank.tasks, {} if isinstance(mark, Task) else {task.name: there[task.name]})
    plain = [t.name for t in bank.tasks.values() if t.plain]
    with Remote(
        lambda: zygote.start(source, plain=plain), bank.tasks, mark.number,
        references=lambda: references(lesson).start(),
    ) as remote:  # fmt: skip
        for claim in bank.claims_of(mark.number):
            expected = prove(claim, local, task.name, seed=7, examples=examples)
            got = prove(claim, remote, task.name, seed=7, examples=examples)
            for field in ("passed", "kind", "message", "case", "expected", "got", "examples"):
                a, b = getattr(expected, field), getattr(got, field)
                equal = near if field in ("expected", "got") else same
                assert equal(a, b), f"{mark.number} {claim.what}: {field}: here {a!r}, there {b!r}"
        assert remote.last is None or not remote.last.fatal


@pytest.mark.parametrize(("lesson", "index"), SAMPLE)
def test_verdicts_are_those_of_local(lesson, index, zygote, references):
    compare(lesson, index, zygote, references, 5)


@pytest.mark.slow
@pytest.mark.parametrize(("lesson", "index"), every())
def test_all_verdicts_are_those_of_local(lesson, index, zygote, references):
    compare(lesson, index, zygote, references, 40)


TASKS = "def {name}(query, key):\n    {body}\n"


@pytest.fixture
def ask(zygote, references):
    """A Remote for L3.2 of lesson 3 with another body."""
    bank, made = load("l03"), []

    def remote(body, number="L3.2", **limits):
        source = TASKS.format(name="scores", body=body) if not body.startswith("file:") else body[5:]
        start = lambda: zygote.start(source.encode(), Limits(**limits))  # noqa: E731
        made.append(Remote(start, bank.tasks, number, references=lambda: references("l03").start()))
        return made[-1]

    yield remote
    for one in made:
        one.close()


def failure(remote, *arguments, name="scores"):
    with pytest.raises(Raised) as caught:
        remote.call(name, arguments or (np.ones((2, 3)), np.ones((2, 3))))
    return caught.value


class TestFailures:
    @pytest.mark.parametrize(
        ("body", "kind", "line", "said"),
        [
            ("return [][0]", "raised", 2, "scores raised IndexError: list index out of range"),
            ("raise SystemExit(0)", "raised", 2, "scores raised SystemExit: 0"),
            ("raise KeyboardInterrupt", "raised", 2, "scores raised KeyboardInterrupt: "),
            ("raise NotImplementedError('L3.2: …')", "unsolved", 2, "scores is not written yet"),
            ("return object()", "type", 0, "scores returned object"),
            ("return 10 ** 5000", "type", 0, "digits"),
            ("import os; os._exit(3)", "crash", 0, "ended (exit status 3)"),
            ("import ctypes; ctypes.string_at(0)", "crash", 0, "ended (SIGSEGV)"),
            ("return bytearray(1 << 31)", "memory", 2, "1024 MiB of memory"),
            ("import numpy; return numpy.ones(1 << 22)", "memory", 0, "memory"),
            ("file:other = 1", "missing", 0, "there is no function scores"),
            ("file:scores = 3", "missing", 0, "there is no function scores"),
            ("file:def scores(:\n", "syntax", 1, "line 1 is not Python"),
            ("file:x = 1\n\x00", "syntax", 0, "null byte"),
            ("file:import torch\n", "import", 1, "torch is something else"),
            ("file:import nothing_like_it\n", "import", 1, "nothing_like_it"),
            ("file:\n\n1 / 0\n", "import", 3, "ZeroDivisionError in line 3"),
        ],
    )
    def test_each_has_its_kind_line_and_sentence(self, ask, body, kind, line, said):
        error = failure(ask(body))
        assert (error.kind, said in str(error)) == (kind, True), error
        assert not line or error.line == line

    def test_time(self, ask):
        before = time.monotonic()
        error = failure(ask("while True: pass", answer=0.3))
        assert error.kind == "time" and "0.3 seconds" in str(error)
        assert time.monotonic() - before < 10  # on a busy machine it is granted what it waits for a processor

    def test_time_of_all_answers_together(self, ask):
        remote = ask("import time; time.sleep(0.1); return 1.0", answer=0.3, wall=0.5)
        with pytest.raises(Raised, match="0.5 in all"):
            for _ in range(6):
                remote.call("scores", (1.0, 2.0))

    def test_cpu(self, ask):
        error = failure(ask("while True: pass", answer=5, cpu=1))
        assert error.kind == "time"

    def test_a_lost_worker_costs_one_case_not_a_search(self, ask):
        remote = ask("import os; os._exit(1) if query.shape[-1] > 1 else 0; return query @ key.T / 1")
        claim = load("l03").claims_of("L3.2")[0]
        found = prove(claim, remote, "scores", seed=1)
        assert found.kind == "crash" and found.case["query"].shape[-1] > 1
        assert prove(claim, remote, "scores", seed=1).case["query"].shape == found.case["query"].shape

    def test_after_three_lost_workers_there_is_no_other(self, ask):
        remote, started = ask("import os; os._exit(1)"), []
        start = remote._start
        remote._start = lambda: started.append(1) or start()
        assert [failure(remote).kind for _ in range(5)] == ["crash"] * 5 and len(started) == 3

    def test_what_is_printed_is_kept_and_cut(self, ask):
        remote = ask("print('a' * 50000); return query @ key.T", output=1000)
        for _ in range(3):
            remote.call("scores", (np.ones((2, 3)), np.ones((2, 3))))
        assert remote._worker.printed == "a" * 1000


class TestOthers:
    """A broken task costs its own points only."""

    def test_earlier_tasks_are_the_references(self, ask):
        bank = load("l03")
        source = reference(bank.about.folder)
        for name in ("scores", "attention_weights"):
            source += f"\ndef {name}(*arguments):\n    raise RuntimeError('broken')\n"
        remote = ask("file:" + source, "L3.6")
        rng = np.random.default_rng(0)
        x, *w = (rng.standard_normal(s) for s in [(3, 4), *[(4, 4)] * 4])
        given = (x, *w, 2, np.tri(3, dtype=bool))
        u = [rng.standard_normal((3, 4))]
        local = Local(bank.tasks)
        assert same(remote.multi_head(*given), local.multi_head(*given))
        for got, expected in zip(
            remote.gradient("multi_head", given, range(5), u), local.gradient("multi_head", given, range(5), u),
            strict=True,
        ):  # fmt: skip
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)

    def test_no_other_reference_is_told(self, ask):
        body = (
            "from minilm.homework import worker; import gc\n"
            "    channel = next(c for c in gc.get_objects() if isinstance(c, worker.Channel))\n"
            "    return worker.stub('{name}', channel)(query, key)"
        )
        for name in ("scores", "multi_head", "attention_weights", "__class__", "no_such"):
            error = failure(ask(body.format(name=name)))
            assert error.kind == "raised" and "no task before this one" in str(error)

    def test_what_else_a_property_asks_is_the_references(self, ask):
        remote = ask("return None")
        assert remote.sinusoids(1, 2).tolist() == [[0.0, 1.0]]

    def test_the_reference_is_asked_within_limits(self, ask):
        """A huge question costs the student's call, not the grader."""
        remote = ask("file:def induction(ids, v, s):\n    return sinusoids(10**7, 10**5)", "L3.9")
        error = failure(remote, np.arange(3), 3, 1.0, name="induction")
        assert error.kind in ("raised", "memory") and remote._worker.ending is None
