"""The code of a notebook that somebody handed in, as a source: read as data, never run."""

import json
import re

from minilm.homework.archives import Refused
from minilm.i18n import tr

IPYTHON = re.compile(
    r"\s*(?:%{1,2}[a-zA-Z]|!(?!=)|\?\w|[\w.]+\?{1,2}\s*$|get_ipython\()"
)  # lines that only a notebook understands


def code_of(notebook: bytes, name: str) -> bytes:
    """The code cells one after the other, as UTF-8; lines of IPython become comments. Refused if it is no notebook."""
    try:
        read = json.loads(notebook.decode("utf-8"))
        cells = [cell for cell in read["cells"] if cell.get("cell_type") == "code"]
        sources = [s if isinstance(s, str) else "".join(s) for s in (cell.get("source", "") for cell in cells)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(
            tr("{name} is no notebook that can be read: save it again, or hand in the .py", name=name)
        ) from error
    return "\n\n".join(_plain(source) for source in sources).encode("utf-8", "surrogatepass") + b"\n"


def _plain(source: str) -> str:
    lines = source.split("\n")
    first = next((line for line in lines if line.strip()), "")
    whole = first.lstrip().startswith("%%")  # the cell is written in another language
    return "\n".join(f"# {line}" if whole or IPYTHON.match(line) else line for line in lines)
