"""Where things lie: minilm's own data, the user's cache; how a text is read, and a file written whole or not at all."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from minilm.errors import DataError
from minilm.i18n import tr

PACKAGE = Path(__file__).parent


def data_folder() -> Path:
    """The folder of built-in data: `minilm/data` in an installed wheel, `data` beside the package in a checkout."""
    for folder in (PACKAGE / "data", PACKAGE.parent / "data"):
        if (folder / "corpora.json").is_file():
            return folder
    raise DataError(tr("minilm's own data are missing beside {package}; install minilm again", package=PACKAGE))


def cache_folder() -> Path:
    """The user's cache for what minilm fetches: MINILM_CACHE if set, else the platform's own place (not created here).

    That is $XDG_CACHE_HOME/minilm or ~/.cache/minilm; ~/Library/Caches/minilm on macOS; %LOCALAPPDATA%\\minilm\\Cache
    on Windows.
    """
    if chosen := os.environ.get("MINILM_CACHE"):
        return Path(chosen).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "minilm"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minilm"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "minilm" / "Cache"
    return Path.home() / ".cache" / "minilm"


def read_text(path: str | Path) -> str:
    """The UTF-8 text of a file, line ends made "\\n", a byte order mark dropped; DataError names what is wrong."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(tr("there is no file {path}; check its name", path=path)) from None
    except OSError as error:
        raise DataError(tr("{path} cannot be read ({reason})", path=path, reason=error)) from error
    if 0 in data:
        position = data.index(0)
        raise DataError(
            tr(
                "{path} is binary (a zero at byte {position}), not text; give a UTF-8 text",
                path=path,
                position=position,
            )
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            tr(
                "{path} is not UTF-8 text: byte {byte} at position {position}; convert it to UTF-8 first",
                path=path,
                byte=f"0x{data[error.start]:02x}",
                position=error.start,
            )
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to a temporary neighbour, sync it, rename it over `path`.

    A reader sees the old file or the new one, never a part; on failure (DataError) the old one is untouched.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise DataError(
            tr("{path} could not be written ({reason}); free space or choose another place", path=path, reason=error)
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
