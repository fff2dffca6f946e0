"""Keeps what it is asked, and answers one question with another's answer."""

seen = []


def scores(query, key, cache={}):  # noqa: B006
    seen.append((query, key))
    q, k = seen[0]
    return (q @ k.swapaxes(-1, -2)).numpy() * 0
