"""Crashes the interpreter by reading from address 0."""

import ctypes


def scores(query, key):
    return ctypes.string_at(0)
