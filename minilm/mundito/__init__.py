"""Mundito, a little world whose every word has a known probability: the automaton, rows to train on, labelled tasks."""

from minilm.mundito.rows import MunditoBatches
from minilm.mundito.world import Mundito, MunditoConfig

__all__ = ["Mundito", "MunditoBatches", "MunditoConfig"]
