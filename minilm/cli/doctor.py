"""`minilm doctor`: the facts of `minilm/doctor.py` as a table, plain lines or JSON."""

import json
import sys
from typing import Any

import typer

from minilm.i18n import tr


def doctor(
    as_json: bool = typer.Option(False, "--json", help=tr("Print the facts and the advice as JSON, for programs.")),
) -> None:
    from minilm.doctor import advice, facts, notes

    found = facts()
    slow, noted = advice(found), notes(found)
    if as_json:
        typer.echo(json.dumps({**found, "advice": slow, "notes": noted}, indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        _print_table(lines(found), slow, noted)
    else:
        for name, value in lines(found):
            typer.echo(f"{name}: {value}")
        typer.echo("\n".join([*(slow or [_well()]), *noted]))


def lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person reads: (name, value), in the order of the report."""
    versions = [(name, version or tr("not installed")) for name, version in found["versions"].items()]
    return [
        *versions,
        (tr("matrix products"), _blas(found["blas"])),
        (tr("their speed"), _speed(found["matmul_gflops"])),
        ("CuPy", _cupy(found["cupy"])),
        (tr("GPU tests"), _gpu_tests(found["cupy"])),
        ("MPI", _mpi(found["mpi"])),
        (tr("cores"), _cores(found["cores"])),
        (tr("memory"), tr("{n:.1f} GiB", n=found["memory"] / 2**30) if found["memory"] else tr("unknown")),
        (tr("language"), found["language"]),
        (tr("folder for fetched texts"), _folder(found["cache"])),
        (tr("sandbox of homework"), _layers(found["sandbox"])),
    ]


def _well() -> str:
    return tr("Nothing here will be slow without need.")


def _blas(blas: dict[str, Any]) -> str:
    return tr(
        "{library} {version}, kernels {kernel}, threads {threads}; the processor has {simd}",
        library=blas["library"] or tr("unknown"),
        version=blas["version"] or "",
        kernel=blas["kernel"] or tr("unknown"),
        threads=blas["threads"] or tr("unknown"),
        simd=", ".join(blas["simd"]) or tr("unknown"),
    )


def _speed(gflops: float | None) -> str:
    if gflops is None:
        return tr("crashed")
    return tr("{gflops:.0f} billion operations a second (float32, 1024 × 1024)", gflops=gflops)


def _cupy(cupy: dict[str, Any]) -> str:
    if not cupy["installed"]:
        return tr("not installed (only for NVIDIA GPUs: pip install 'minilm[cupy]')")
    said = cupy["device"] or tr("no device answers: {problem}", problem=cupy["problem"])
    return f"{cupy['version'] or ''} ({said})".strip()


def _gpu_tests(cupy: dict[str, Any]) -> str:
    """What of the GPU's path is tested here, and by which command."""
    if cupy["device"]:
        return tr("they run here, with `make test`")
    if cupy["installed"]:
        return tr(
            "they do not run here; `make test` runs the same tests on a strict stand-in for a device, and reads every "
            "call of the array module against the signatures of this CuPy"
        )
    return tr("they do not run here; `make test` runs the same tests on a strict stand-in for a device")


def _mpi(mpi: dict[str, Any]) -> str:
    if mpi["version"] is None:
        return tr("not installed (for a training in several processes: pip install 'minilm[mpi]')")
    said = mpi["library"] or tr("it finds no MPI: {problem}", problem=mpi["problem"])
    return f"mpi4py {mpi['version']} ({said})"


def _cores(cores: dict[str, Any]) -> str:
    return tr(
        "{physical} physical, {logical} logical, {usable} for this process; a training takes {training}",
        physical=cores["physical"] or "?",
        logical=cores["logical"] or "?",
        usable=cores["usable"] or "?",
        training=cores["training"],
    )


def _folder(folder: dict[str, Any]) -> str:
    return folder["path"] if folder["writable"] else tr("{path} (cannot be written)", path=folder["path"])


def _layers(layers: list[dict[str, Any]]) -> str:
    """The layers that stand here, and those that do not, with the reason."""
    if not layers:
        return tr("none: submissions are graded on Linux and macOS; on Windows, use the Linux subsystem (WSL)")
    active = ", ".join(layer["name"] for layer in layers if layer["active"]) or "–"
    missing = ", ".join(f"{layer['name']} ({layer['why']})" for layer in layers if not layer["active"])
    return tr("{active}; not here: {missing}", active=active, missing=missing) if missing else active


def _print_table(rows: list[tuple[str, str]], slow: list[str], noted: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False)
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(value))
    console = Console()
    console.print(table)
    for sentence in slow:
        console.print(Text(tr("Slow: ") + sentence, style="yellow"))
    if not slow:
        console.print(Text(_well(), style="green"))
    for sentence in noted:
        console.print(Text(tr("Note: ") + sentence))
