"""Homework: what a student hands in runs behind walls, and what is asked of it crosses as arrays.

wire.py       frames of arrays over file descriptors: a JSON header, raw bytes, bounds
limits.py     time, memory, processes, files
linux.py      the system calls behind the walls
sandbox.py    the walls, and which of them this machine can build
worker.py     the untrusted side: runs a student's file and answers
zygote.py     a warm process that forks workers; the trusted side's hold on them
remote.py     an implementation of a lesson's tasks that is a worker: what properties are run against
"""
