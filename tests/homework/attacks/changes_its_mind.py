"""Is another function each time it is asked."""

count = 0


def scores(query, key):
    global count
    count += 1
    return float(count)
