"""`python -m minilm`: the command line where the `minilm` program is not on the path."""

import sys

from minilm.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
