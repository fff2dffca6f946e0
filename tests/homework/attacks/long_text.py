"""Answers with a very long text, and with one that is no Unicode."""


def scores(query, key):
    return "\ud800" * 10 if query.shape[-1] % 2 else "a" * 10**7
