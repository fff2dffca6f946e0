"""Homework: a student's files made from a lesson, handed in, and read again.

stripping.py   a lesson's tasks.py without its answers: the student's file
assignment.py  what is asked: numbers, names, points, with or without the answers at hand
runtime.py     minilm without what answers the tasks, as a wheel
release.py     all that an instructor gives out
archives.py    zips from strangers; intake.py: submissions, from files, folders, zips and downloads
pack.py        the zip that a student hands in, made and checked
"""
