"""Holds the interpreter's lock within one call of C that takes years."""


def scores(query, key):
    return float(sum(range(10**18)))
