"""How much memory this process has, and has had at most. Nothing is imported: what is measured should stay small."""


def resident() -> int:
    """The bytes of memory that this process has now; 0 where the system does not tell."""
    return _status("VmRSS:")


def most_resident() -> int:
    """The most that it has had. Linux's ru_maxrss counts what the parent had when it forked too, so not that."""
    if found := _status("VmHWM:"):
        return found
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _status(name: str) -> int:
    try:
        with open("/proc/self/status") as lines:
            return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), 0)
    except OSError:
        return 0
