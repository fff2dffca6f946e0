"""Raises SystemExit, GeneratorExit and KeyboardInterrupt instead of answering."""

count = 0


def scores(query, key):
    global count
    count += 1
    raise (SystemExit(0), GeneratorExit, KeyboardInterrupt)[count % 3]
