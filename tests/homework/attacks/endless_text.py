"""Raises an error whose text never ends being made."""


class Endless(Exception):
    def __str__(self):
        while True:
            pass

    __repr__ = __str__


def scores(query, key):
    raise Endless
