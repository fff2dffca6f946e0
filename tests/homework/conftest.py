"""The helpers of these tests, importable by name, and one warm zygote for all that need nothing special."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "course")]


@pytest.fixture(scope="session")
def zygote():
    from minilm.homework.zygote import Zygote

    with Zygote() as warm:
        yield warm


@pytest.fixture(scope="session")
def references():
    """lesson -> a zygote whose workers answer for its own functions."""
    from minilm.course import load
    from minilm.homework.zygote import Zygote

    warm = {}

    def of(lesson):
        if lesson not in warm:
            warm[lesson] = Zygote(lesson=load(lesson).about.folder)
        return warm[lesson]

    yield of
    for one in warm.values():
        one.close()
