"""Homework: what a student is handed, what runs it behind walls, why it is wrong, and what it is worth.

It stands on minilm.course, and knows no model.

stripping.py   a lesson's tasks.py without its answers: the student's file
assignment.py  what is asked: numbers, names, points, with or without the answers at hand
runtime.py     minilm without what answers the tasks, as a wheel
release.py     all that an instructor gives out
archives.py    zips from strangers; intake.py: submissions, from files, folders, zips and downloads
pack.py        the zip that a student hands in, made and checked
wire.py        frames of arrays over file descriptors: a JSON header, raw bytes, bounds
limits.py      time, memory, processes, files
linux.py       the system calls behind the walls
sandbox.py     the walls, and which of them this machine can build
worker.py      the untrusted side: runs a student's file and answers
zygote.py      the trusted side's hold on a warm process that forks workers, and on these; nursery.py: that process
remote.py      an implementation of a lesson's tasks that is a worker: what properties are run against
failures.py    the ways to fail, in words: what each means, and what to do
shown.py       values as people read them, expected beside got
home.py        a file tried at home, on the public cases
diagnosis/     the doctor: why a value or a gradient is wrong
record.py      what grading found out about one student: all reports are made from it
suspicion.py   imports and names that no homework needs
grading.py     one submission to one record, with public and hidden cases; seeds.py: what hidden ones are made from
ledger.py      a batch's folder, which no kill -9 spoils; roster.py: who is in the class
lanes.py       submissions graded side by side, by processes or a Dask cluster
batch.py       a class graded: begun, gone on with, graded again in part
reports/       results.json, a student's page, the class's overview, grades.csv
late.py        what handing in late costs
gradebook.py   Moodle's and Canvas's sheets, filled in; sheets.py: a table of which all but some cells stays as it is
autograder.py  a zip that grades on Gradescope
"""
