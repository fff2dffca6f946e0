"""Answers with lists in lists in lists."""


def scores(query, key):
    answer = 1.0
    for _ in range(150):
        answer = [answer]
    return answer
