"""Answers with numbers of thousands of digits."""


def scores(query, key):
    return 10**4000 if query.shape[-1] % 2 else [7**4000] * 1000
