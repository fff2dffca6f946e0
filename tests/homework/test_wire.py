"""Data come back exactly; what breaks the format or the bounds is refused before memory is taken for it."""

import contextlib
import json
import os
import struct
import threading
import time
import tracemalloc

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from submissions import same

from minilm.homework.wire import DTYPES, Bounds, Frame, WireError, pack, receive, send

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.integers(10**4000, 10**4299) | st.floats() | st.text(max_size=20)
    | st.sampled_from(sorted(DTYPES)).flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0)))
)  # fmt: skip
KEYS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False)
DATA = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(fd)


def there_and_back(frame):
    reader, writer = os.pipe()
    with open(reader, "rb"), open(writer, "wb"):
        sender = threading.Thread(target=send, args=(writer, frame))
        sender.start()
        found = receive(reader, Bounds())
        sender.join()
    return found


class TestRoundTrip:
    @given(DATA)
    def test_everything_comes_back_exactly(self, data):
        found = there_and_back(Frame("kind", data, "nonce"))
        assert (found.kind, found.nonce) == ("kind", "nonce") and same(found.data, data)

    def test_numbers_to_the_last_bit(self):
        data = [0.1, -0.0, 5e-324, float("inf"), float("nan"), 2**63, -(10**4299), True, 1, 1.0]
        found = there_and_back(Frame("k", data)).data
        assert same(found, data) and str(found[1]) == "-0.0"

    @pytest.mark.parametrize(
        "make",
        [lambda a: a.T, lambda a: a[::2, ::-1], lambda a: a[:, 0], lambda a: a.astype(bool)[1:, 1],
         lambda a: np.broadcast_to(a[0], (1, 2, 3)), lambda a: np.broadcast_to(a[0, 0], 4), lambda a: a.astype(">f8")],
    )  # fmt: skip
    def test_views_and_the_other_byte_order(self, make):
        array = make(np.arange(12.0).reshape(4, 3))
        found = there_and_back(Frame("k", array)).data
        assert found.dtype.kind == array.dtype.kind and found.dtype.str in DTYPES
        assert found.shape == array.shape and (found == array).all()
        found[...] = 0  # it is one's own

    def test_subclasses_cross_as_what_they_are_made_of(self):
        class Float(float):
            pass

        class Text(str):
            __slots__ = ()

        class Array(np.ndarray):
            pass

        found = there_and_back(Frame("k", [Float(2), Text("a"), np.ones(2).view(Array)])).data
        assert [type(x) for x in found] == [float, str, np.ndarray]

    @pytest.mark.parametrize(
        ("data", "kind"),
        [(object(), "type"), ({1, 2}, "type"), (1j, "type"), (np.ones(1, complex), "dtype"), (10**4300, "digits"),
         (10**9000, "digits"), (np.array(["a"]), "dtype"), (np.array([None]), "dtype"), (np.longdouble(1), "dtype")],
        ids="object set complex complexes digits many text objects long".split(),
    )  # fmt: skip
    def test_what_is_no_data_is_not_sent(self, data, kind):
        with pytest.raises(WireError) as caught:
            pack(Frame("k", data))
        assert caught.value.kind == kind

    def test_what_contains_itself(self):
        own = []
        own.append(own)
        with pytest.raises(WireError):
            pack(Frame("k", own))


def raw(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text + body


def claim(dtype="<f8", shape=(1,), data=("a", 0), **more):
    return {"nonce": "", "kind": "k", "data": list(data), "arrays": [{"dtype": dtype, "shape": shape}], **more}


class TestRefused:
    @pytest.mark.parametrize(
        ("sent", "kind"),
        [
            (b"\xff\xff\xff\xff", "size"),
            (raw(claim(shape=[1 << 40])), "size"),
            (raw(claim(shape=[0, 1 << 62])), "size"),
            (raw(claim(shape=[1 << 13, 1 << 13])), "size"),
            (raw(claim(shape=[1 << 12] * 30 + [0])), "size"),
            (raw(claim() | {"arrays": [{"dtype": "<f8", "shape": [1 << 20]}] * 3}), "size"),
            (raw(claim(shape=[-1])), "shape"),
            (raw(claim(shape=[True])), "shape"),
            (raw(claim(shape=[1.0])), "shape"),
            (raw(claim(shape=["1"])), "shape"),
            (raw(claim(shape=[1] * 33)), "shape"),
            (raw(claim(shape=None)), "shape"),
            (raw(claim(dtype="|O")), "dtype"),
            (raw(claim(dtype=">f8")), "dtype"),
            (raw(claim(dtype="<c16")), "dtype"),
            (raw(claim(dtype=["<f8"])), "dtype"),
            (raw(claim(dtype=8)), "dtype"),
            (raw(claim(dtype="|b1"), b"\x02"), "entries"),
            (raw(claim(data=("a", 1)), bytes(8)), "header"),
            (raw(claim(data=("a", -1)), bytes(8)), "header"),
            (raw(claim(data=("a", True)), bytes(8)), "header"),
            (raw(claim(data=("x", 0)), bytes(8)), "header"),
            (raw(claim(data=("d", "key")), bytes(8)), "header"),
            (raw(claim(data=("d", ["l"], 1)), bytes(8)), "header"),
            (raw(claim(data=()), bytes(8)), "header"),
            (raw(claim(more=1)), "header"),
            (raw(b"{"), "header"),
            (raw(b"[]"), "header"),
            (raw(b"null"), "header"),
            (raw(b"\xff\xfe"), "header"),
            (raw(b'{"nonce":"","kind":"k","arrays":[],"data":' + b"[" * 10**5 + b"]" * 10**5 + b"}"), "header"),
            (raw(b'{"nonce":"","kind":"k","arrays":[],"data":1' + b"0" * 5000 + b"}"), "header"),
            (raw({"nonce": 1, "kind": "k", "data": 0, "arrays": []}), "header"),
            (raw({"nonce": "", "kind": "k", "data": {"a": 1}, "arrays": []}), "header"),
            (raw({"nonce": "", "kind": "k", "data": "a" * 300_000, "arrays": []}), "text"),
            (raw({"nonce": "", "kind": "k", "data": ["l", *[0] * 200_000], "arrays": []}), "leaves"),
            (raw(claim())[:-3], "closed"),
            (raw(claim(), bytes(7)), "closed"),
            (b"", "closed"),
        ],
    )
    def test_a_frame_that_breaks_the_rules(self, pipe, sent, kind):
        reader, writer = pipe

        def write():
            try:
                os.write(writer, sent) if len(sent) < 1000 else _write_all(writer, sent)
            finally:
                os.close(writer)

        thread = threading.Thread(target=write)
        thread.start()
        tracemalloc.start()
        try:
            with pytest.raises(WireError) as caught:
                receive(reader, Bounds())
            assert tracemalloc.get_traced_memory()[1] < 20e6
        finally:
            tracemalloc.stop()
            os.close(reader)
            thread.join()
        assert caught.value.kind == kind

    def test_depth(self):
        data = 1
        for _ in range(30):
            data = [data]
        with pytest.raises(WireError) as caught:
            there_and_back(Frame("k", data))
        assert caught.value.kind == "depth"

    def test_another_nonce(self, pipe):
        reader, writer = pipe
        send(writer, Frame("k", 1, "a" * 32))
        with pytest.raises(WireError) as caught:
            receive(reader, Bounds(), nonce="b" * 32)
        assert caught.value.kind == "nonce"

    @given(st.binary(max_size=300))
    def test_noise_is_refused(self, noise):
        reader, writer = os.pipe()
        with open(reader, "rb"):
            with open(writer, "wb", buffering=0) as file:
                file.write(noise)
            with pytest.raises(WireError):
                receive(reader, Bounds())


def _write_all(fd, data):
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        pass


class TestTime:
    def test_nothing_comes(self, pipe):
        os.set_blocking(pipe[0], False)
        began = time.monotonic()
        with pytest.raises(WireError) as caught:
            receive(pipe[0], Bounds(), began + 0.1)
        assert caught.value.kind == "late" and 0.09 < time.monotonic() - began < 1

    def test_it_drips(self, pipe):
        """Something always comes, and the deadline holds all the same."""
        reader, writer = pipe
        os.set_blocking(reader, False)
        stop = threading.Event()
        os.write(writer, b"\0\x0f\0\0")

        def drip():
            while not stop.wait(0.005):
                os.write(writer, b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(WireError) as caught:
                receive(reader, Bounds(), time.monotonic() + 0.2)
            assert caught.value.kind == "late"
        finally:
            stop.set()
            thread.join()

    def test_nobody_reads(self, pipe):
        os.set_blocking(pipe[1], False)
        with pytest.raises(WireError) as caught:
            send(pipe[1], Frame("k", np.zeros(1 << 20)), time.monotonic() + 0.1)
        assert caught.value.kind == "late"

    def test_nobody_is_there(self, pipe):
        os.close(pipe[0])
        with pytest.raises(WireError) as caught:
            send(pipe[1], Frame("k", 1))
        assert caught.value.kind == "closed"

    def test_what_is_aside_is_emptied_meanwhile(self, pipe):
        """Else a worker that prints more than a pipe holds would wait for ever."""
        reader, writer = pipe
        out_reader, out_writer = os.pipe()
        for fd in (reader, out_reader):
            os.set_blocking(fd, False)
        seen = bytearray()

        def work():
            with open(out_writer, "wb") as file:
                file.write(b"x" * 10**6)
            send(writer, Frame("k", np.arange(10**5)))

        thread = threading.Thread(target=work)
        thread.start()
        found = receive(reader, Bounds(), time.monotonic() + 10, [(out_reader, seen.extend)])
        thread.join()
        os.close(out_reader)
        assert len(seen) > 9 * 10**5 and found.data[-1] == 10**5 - 1
