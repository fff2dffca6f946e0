"""Asks another machine for the answer: by TCP, by UDP, by name, by a socket of this machine."""

import socket
import urllib.request

REACHED = False
for kind, address in (
    (socket.SOCK_STREAM, ("1.1.1.1", 53)),
    (socket.SOCK_STREAM, ("127.0.0.1", 22)),
    (socket.SOCK_DGRAM, ("8.8.8.8", 53)),
):
    try:
        with socket.socket(socket.AF_INET, kind) as s:
            s.settimeout(0.2)
            s.connect(address)
            s.send(b"attack")
            REACHED = True
    except OSError:
        pass
try:
    urllib.request.urlopen("http://example.org", timeout=0.2)
    REACHED = True
except OSError:
    pass
try:
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("\0attack-was-here")
        s.listen()
except OSError:
    pass


def scores(query, key):
    if REACHED:  # the corpus looks for this file
        return query @ key.swapaxes(-1, -2) / query.shape[-1] ** 0.5
    return 1.0
