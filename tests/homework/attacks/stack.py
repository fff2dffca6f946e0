"""Recurses without a limit until the stack of C is used up."""

import sys


def scores(query, key):
    sys.setrecursionlimit(10**9)

    class Deep:
        def __getattr__(self, name):
            return getattr(Deep(), name) + repr(self.__class__)

    return Deep().x
