"""Records as grading makes them: from a lesson's own wrong answers, proved and diagnosed here; and hostile ones."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from minilm.course.implementations import Local
from minilm.course.proving import prove
from minilm.homework.record import Cause, ClaimRecord, Record, TaskRecord

STATES = ("solved", "partial", "failed", "unsolved", "missing", "unreadable")
KINDS = ("value", "gradient", "shape", "type", "nan", "time", "memory", "crash", "import", "syntax", "missing",
         "unsolved", "raised", "protocol", "constant", "unstable", "unusable", "")  # fmt: skip


def text_of(data) -> str:
    """Data as a report shows them."""
    if data is None:
        return ""
    with np.printoptions(precision=6, suppress=True):
        return str(np.asarray(data)) if isinstance(data, (np.ndarray, float)) else repr(data)


def record_of(bank, wrong, student="ana", name="", lang="en", diagnose=None) -> Record:
    """A student whose answers are the reference's, but for a mutant a task. wrong: number -> which mutant."""
    tasks = []
    for number, task in bank.tasks.items():
        if task.worked:
            continue
        mutants = bank.mutants_of(number)
        replaced = {task.name: mutants[wrong[number] % len(mutants)].function} if number in wrong else {}
        tasks.append(_task(bank, task, Local(bank.tasks, replaced), diagnose))
    return Record("0.1.0", bank.about.short, bank.about.title, student, name, "l03.py", "0" * 64, lang, (), (),
                  tuple(tasks))  # fmt: skip


def _task(bank, task, impl, diagnose) -> TaskRecord:
    proved = [prove(claim, impl, task.name, seed=1, examples=10) for claim in bank.claims_of(task.number)]
    claims = tuple(
        ClaimRecord(v.claim.what, v.passed, v.examples, v.kind, v.message,
                    tuple((k, text_of(x)) for k, x in (v.case or {}).items()), text_of(v.expected), text_of(v.got))
        for v in proved
    )  # fmt: skip
    hidden = tuple(ClaimRecord(c.what, c.passed, 20, c.kind) for c in claims)
    share = sum(c.passed for c in claims) / len(claims)
    failed = next((v for v in proved if not v.passed), None)
    cause = None
    if failed is not None and diagnose is not None:
        found = diagnose(bank, task, impl, failed)
        cause = Cause(found.cause, found.line, found.details, found.misconception or "", found.hint or "", found.read)
    state = "solved" if share == 1 else "partial" if share else "failed"
    return TaskRecord(task.number, task.name, (task.function.__doc__ or "").split("\n")[0], task.points,
                      round(task.points * share, 4), state, failed.kind if failed else "",
                      failed.message if failed else "", 0, claims, hidden, cause)  # fmt: skip


def plain(student: str = "ana", **changed) -> Record:
    """A record made by hand: one task of each state."""
    held, lost = ClaimRecord("rows sum to 1", True, 20), ClaimRecord(
        "the future is not read", False, 3, "value", "the future is not read, at (0, 1)", (("x", "[[0. 1.]]"),),
        "[[1.  0.]\n [0.5 0.5]]", "[[1.  0.25]\n [0.5 0.5]]",
    )  # fmt: skip
    secret = ClaimRecord("the future is not read", False, 20, "value")
    slow = replace(lost, kind="time", message="no answer within 2 s", expected="", got="")
    cause = Cause("wrong_axis", "The sum runs along the wrong axis", (), "softmax_over_queries", "Which axis?", "l03")

    def task(number, state, earned, kind="", message="", **more):
        given = {"line": 0, "public": (), "hidden": (), "cause": None} | more
        return TaskRecord(number, f"f{number[-1]}", "What it does.", 2, earned, state, kind, message, **given)

    tasks = (
        task("L3.1", "solved", 2, public=(held,), hidden=(held,)),
        task("L3.2", "partial", 1, "value", lost.message, public=(held, lost), hidden=(held, secret), cause=cause),
        task("L3.3", "failed", 0, "time", "no answer within 2 s", line=7, public=(slow,),
             hidden=(secret,)),
        task("L3.4", "unsolved", 0, "unsolved", "L3.4: what to do"),
        task("L3.5", "unsolved", 0, "unsolved", "L3.5: what to do"),
        task("L3.6", "missing", 0, "missing", "there is no function f6"),
    )  # fmt: skip
    given = {"student": student, "name": "Ana Díaz", "file": "l03.py", "digest": "ab" * 32, "lang": "en", "notes": (),
             "suspicious": (), "tasks": tasks}  # fmt: skip
    return Record("0.1.0", "l03", "Attention", **(given | changed))


# -------------------------------------------------------------------------------------------------------------- hostile

EVIL = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='x", "</pre></style></title>",
    "{{ 7 * 7 }}{% raw %}", "\u202egnp.exe", "\x1b[2J\x1b]0;x\x07", "\0", "\ud800", "a\u0301" * 40 + "\u0301" * 400,
    "=HYPERLINK(\"http://x\")", "+1", "-1+1", "@SUM(1)", "\t=1", "x" * 20_000, "\n" * 2000, "javascript:alert(1)",
    "&lt;b&gt;", "]]>", "<!--", "http://evil.example/x.png", "url(//evil.example)", "\u2028\u2029", "",
)  # fmt: skip
MARK = "<i>MARK</i>"

texts = st.one_of(
    st.sampled_from(EVIL).map(lambda evil: evil + MARK),
    st.text(st.characters(), max_size=30).map(lambda text: text + MARK),
)
scores = st.floats(0, 10).map(lambda x: round(x, 3))
claims = st.builds(
    ClaimRecord, what=texts, passed=st.booleans(), of=st.integers(0, 10**6), kind=st.sampled_from(KINDS) | texts,
    message=texts, case=st.lists(st.tuples(texts, texts), max_size=3).map(tuple), expected=texts, got=texts,
)  # fmt: skip
causes = st.builds(
    Cause, cause=texts, line=texts, details=st.lists(texts, max_size=2).map(tuple), misconception=texts, hint=texts,
    read=texts,
)  # fmt: skip
tasks = st.builds(
    TaskRecord, number=texts, name=texts, summary=texts, points=scores, earned=scores,
    state=st.sampled_from(STATES) | texts, kind=st.sampled_from(KINDS) | texts, message=texts,
    line=st.integers(-1, 10**9), public=st.lists(claims, max_size=2).map(tuple),
    hidden=st.lists(claims, max_size=2).map(tuple), cause=st.none() | causes,
)  # fmt: skip
records = st.builds(
    Record, version=texts, lesson=texts, title=texts, student=texts, name=texts, file=texts, digest=texts,
    lang=st.sampled_from(["en", "es"]), notes=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    suspicious=st.lists(st.tuples(st.integers(0, 99), texts), max_size=2).map(tuple),
    tasks=st.lists(tasks, max_size=3).map(tuple), printed=texts, late=st.none() | st.tuples(texts, scores),
)  # fmt: skip
