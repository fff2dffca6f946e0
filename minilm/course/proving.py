"""Running a claim: hypothesis makes the cases from a seed, and the verdict says what was met, or what was not."""

import contextlib
import copy
import math
import sys
import unittest
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.course.expecting import Unmet
from minilm.course.implementations import Implementation, Raised, leaves_of
from minilm.course.marks import Claim
from minilm.errors import ConfigError
from minilm.i18n import tr

EXAMPLES, LEAST = 100, 4  # cases of a claim; the fewest that are tried where calls are counted


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds, and if not: the smallest case that was found, what was expected there and what was got.

    kind: value, shape, type, nan, gradient, constant, raised, missing, unusable or unstable; "" where it holds.
    """

    claim: Claim
    passed: bool
    kind: str = ""
    message: str = ""
    case: dict[str, Any] | None = None
    expected: Any = None
    got: Any = None
    examples: int = 0


def prove(
    claim: Claim,
    impl: Implementation | None = None,
    task: str = "",
    *,
    seed: int = 0,
    examples: int | None = None,
    shrink: bool = True,
    tries: int | None = None,
    calls: int | None = None,
) -> Verdict:
    """Try a claim on cases made from the seed, against `impl` if it is about a task, whose function is named `task`.

    examples: how many cases, or as many as the claim allows if these are fewer. shrink: look for the smallest failing
    case; without it the first one is reported. tries: the most cases that the search for a smaller one may take; then
    the smallest of them is reported. calls: once the function was asked as often, in at least 4 cases, the others are
    let pass, so that no claim takes much longer than the rest. The same seed gives the same cases, whatever was run
    before. An implementation fails a claim as well if in all cases together it answered with nothing but one and the
    same number.
    """
    if claim.of_task and (impl is None or not task):
        raise ConfigError(
            tr("{number} is about a task: it needs an implementation and the task's name", number=claim.number)
        )
    run = _Run(claim, Watched(impl, task) if impl is not None and claim.of_task else None, tries, calls)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return run.all(seed, min(examples or EXAMPLES, claim.examples or sys.maxsize), shrink)


def cases_of(claim: Claim, seed: int, examples: int) -> list[tuple[Any, ...]]:
    """The cases that `prove` makes from a seed, as long as none fails; () once for a claim that takes none."""
    if not claim.strategies:
        return [()]
    found: list[tuple[Any, ...]] = []
    run = _Run(claim, None)
    run.one = found.append  # type: ignore[method-assign, assignment]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        run._search(seed, min(examples, claim.examples or sys.maxsize), False)
    return found


def prove_on(
    claim: Claim, cases: Iterable[tuple[Any, ...]], impl: Implementation | None = None, task: str = ""
) -> Verdict:
    """Try a claim on cases that were made before; the first that fails is reported, and none is made smaller."""
    from hypothesis.errors import UnsatisfiedAssumption

    run = _Run(claim, Watched(impl, task) if impl is not None and claim.of_task else None)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for case in cases:
            try:
                run.one(copy.deepcopy(case))
            except UnsatisfiedAssumption:
                continue
            except (Unmet, Raised, _Unusable, _Fatal):
                assert run.failure is not None
                return run.failure
        return run.end()


class Watched(Implementation):
    """An implementation whose answers to one function are looked at: are they ever different, and are they numbers?"""

    def __init__(self, impl: Implementation, name: str):
        self._impl, self._name = impl, name
        self._seen: list[Any] = []  # up to two different entries of all answers
        self._calls = self._asked = 0
        self.nan = False  # whether an answer had one, since this was last set

    def call(self, name: str, arguments: Any) -> Any:
        self._asked += 1
        result = self._impl.call(name, arguments)
        if name == self._name:
            self._calls += 1
            if len(self._seen) < 2:
                self._look(result)
            self.nan = self.nan or any(map(_has_nan, leaves_of(result)))
        return result

    def gradient(self, name: str, arguments: Any, wrt: Any, cotangents: Any) -> Any:
        self._asked += 1
        return self._impl.gradient(name, arguments, wrt, cotangents)

    def _look(self, result: Any) -> None:
        for leaf in leaves_of(result):
            if len(self._seen) > 1:
                return
            for entry in np.unique(leaf)[:2].tolist() if isinstance(leaf, np.ndarray) else [leaf]:
                if entry not in self._seen:
                    self._seen.append(entry)


def _has_nan(leaf: Any) -> bool:
    """Whether an array or a number has one."""
    if isinstance(leaf, np.ndarray):
        return leaf.dtype.kind == "f" and bool(np.isnan(leaf).any())
    return isinstance(leaf, float) and math.isnan(leaf)


class _Run:
    """One run of a claim: it remembers the last case that failed, which hypothesis leaves the smallest."""

    def __init__(self, claim: Claim, impl: Watched | None, tries: int | None = None, calls: int | None = None):
        self.claim, self.impl = claim, impl
        self.left = sys.maxsize if tries is None else tries
        self.calls = sys.maxsize if calls is None else calls
        self.failure: Verdict | None = None
        self.examples = 0

    def all(self, seed: int, examples: int, shrink: bool) -> Verdict:
        if not self.claim.strategies:
            try:
                self.one(())
            except (Unmet, Raised, _Unusable, _Fatal):
                assert self.failure is not None
                return self.failure
        else:
            found = self._search(seed, examples, shrink)
            if found is not None:
                return found
        return self.end()

    def end(self) -> Verdict:
        """The verdict where no case has failed."""
        if self.impl is not None and len(self.impl._seen) < 2:
            return self._constant(self.impl)
        return Verdict(self.claim, True, examples=self.examples)

    def _search(self, seed: int, examples: int, shrink: bool) -> Verdict | None:
        import hypothesis as h
        from hypothesis.errors import Flaky

        phases = (h.Phase.generate, h.Phase.shrink) if shrink else (h.Phase.generate,)
        settings = h.settings(
            database=None, deadline=None, derandomize=False, max_examples=examples, phases=phases,
            suppress_health_check=list(h.HealthCheck), report_multiple_bugs=False, print_blob=False,
            verbosity=h.Verbosity.quiet, backend="hypothesis",
        )  # fmt: skip
        try:
            with _of_the_seed_alone():
                h.seed(seed)(settings(h.given(_cases(self.claim))(lambda case: self.one(case))))()
        except (Unmet, Raised, _Unusable, _Fatal):
            return self.failure
        except Flaky:
            assert self.failure is not None
            return Verdict(self.claim, False, "unstable", tr("two answers to the same question"), self.failure.case)
        return None

    def one(self, case: tuple[Any, ...]) -> None:
        """Check one case, and remember it if it fails."""
        from hypothesis.errors import HypothesisException

        if self.failure is None and self.impl is not None and self.impl._asked >= self.calls and self.examples >= LEAST:
            return
        if self.failure is not None:
            self.left -= 1
            if self.left < 0:
                raise _Fatal(self.failure.kind)
        self.examples += 1
        try:
            if self.impl is not None:
                self.impl.nan = False
            self.claim.check(*(() if self.impl is None else (self.impl,)), *case)
            if self.impl is not None and self.impl.nan:  # two of them are alike to a property that compares answers
                raise Unmet(tr("{name} answers NaN", name=self.impl._name), kind="nan")
        except HypothesisException:
            raise
        except Unmet as error:
            self._remember(case, error.kind, str(error), error.expected, error.got)
            raise
        except Raised as error:
            if error.kind != "time" or self.failure is None:  # the time may have gone in the search for a smaller case
                self._remember(case, error.kind, str(error))
            if error.fatal:
                raise _Fatal(error.kind) from error
            raise
        except Exception as error:
            if self.impl is None:
                raise
            message = tr("the answer cannot be used: {kind}: {what}", kind=type(error).__name__, what=error)
            self._remember(case, "unusable", message)
            raise _Unusable(message) from error

    def _remember(self, case: tuple, kind: str, message: str, expected: Any = None, got: Any = None) -> None:
        named = dict(zip(self.claim.arguments, case, strict=False))
        self.failure = Verdict(self.claim, False, kind, message, named, expected, got, self.examples)

    def _constant(self, impl: Watched) -> Verdict:
        if not impl._calls:
            message = tr("{name} was not called once", name=impl._name)
        else:
            answer = repr(impl._seen[0]) if impl._seen else tr("nothing")
            message = tr("{name} always answers {answer}, whatever it is asked", name=impl._name, answer=answer)
        return Verdict(self.claim, False, "constant", message, examples=self.examples)


@contextlib.contextmanager
def _of_the_seed_alone() -> Iterator[None]:
    """Hypothesis also draws constants that it finds in the modules which happen to be loaded, and so makes other cases
    from the same seed in another process, and leaves a folder of notes behind. Here it draws none.
    """
    from hypothesis.internal.conjecture.providers import HypothesisProvider

    usual = HypothesisProvider._maybe_draw_constant
    HypothesisProvider._maybe_draw_constant = lambda *_, **__: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        HypothesisProvider._maybe_draw_constant = usual  # type: ignore[method-assign]


class _Fatal(unittest.SkipTest):
    """What cost time or a process is not tried again, nor too many cases in all: only a test that skips itself does
    hypothesis not repeat."""


class _Unusable(Exception):
    """A property stumbled over what the function returned, or over itself: then the reference fails it too."""


def _cases(claim: Claim) -> Any:
    """The strategy of whole cases."""
    from hypothesis import strategies as st

    if len(claim.strategies) > 1:
        return st.tuples(*claim.strategies)
    return claim.strategies[0].map(lambda case: case if isinstance(case, tuple) else (case,))
