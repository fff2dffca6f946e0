"""An `os` whose calls that touch the disk fail, or die, at a chosen one."""

import errno
import os


class Killed(BaseException):
    """The process is gone: nothing of ours runs any more, not even what cleans up."""


class Disk:
    """Stands for the module `os`. `at=None` only counts; else call number `at` fails (and, if `forever`, all later)."""

    CALLS = ("mkdir", "open", "write", "fsync", "rename", "replace")

    def __init__(self, at=None, forever=True, kill=False):
        self.at, self.forever, self.kill, self.count, self.dead = at, forever, kill, 0, False
        self.seen = []

    def __getattr__(self, name):
        real = getattr(os, name)
        return self._counted(name, real) if name in self.CALLS else real

    def _counted(self, name, real):
        def call(*args, **kwargs):
            self.count += 1
            self.seen.append(name)
            hit = self.at is not None and (self.count == self.at or (self.count > self.at and self.forever))
            if not hit:
                return real(*args, **kwargs)
            if name == "write":  # a full disk, or a kill, may come in the middle of the bytes
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            if self.kill:
                self.dead = True
                raise Killed
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return call


def install(monkeypatch, disk):
    """Let minilm's training use `disk`; once it is dead, nothing is removed any more either."""
    import pathlib
    import shutil

    from minilm.training import checkpoint, durable, log, run

    for module in (checkpoint, durable, log, run):
        monkeypatch.setattr(module, "os", disk)
    real_rmtree, real_unlink = shutil.rmtree, pathlib.Path.unlink

    def rmtree(path, *args, **kwargs):
        if not disk.dead:
            real_rmtree(path, *args, **kwargs)

    def unlink(self, *args, **kwargs):
        if not disk.dead:
            real_unlink(self, *args, **kwargs)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    monkeypatch.setattr(pathlib.Path, "unlink", unlink)
