"""The command line: `app.py` is the roof (the list of commands, the errors), and each command is a module beside it.

A command's module imports typer alone; NumPy, matplotlib and the rest of minilm are imported in its functions' bodies,
so that `minilm --help` is quick.
"""
