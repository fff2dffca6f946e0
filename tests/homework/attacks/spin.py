"""Never answers, at full speed."""


def scores(query, key):
    while True:
        pass
