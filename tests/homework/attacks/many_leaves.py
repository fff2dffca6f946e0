"""Answers with a million numbers, each on its own, and with itself as a part of itself."""


def scores(query, key):
    if query.shape[-1] % 2:
        own = []
        own.append(own)
        return own
    return [0] * 10**6
