"""Has the compiler work for ever, and use all memory."""

exec("x = " + "-" * 10**6 + "1")
exec("((((((1 << 100000) ** 1000) ** 1000) ** 1000)))")


def scores(query, key):
    return eval("9 ** 9 ** 9 ** 9")
