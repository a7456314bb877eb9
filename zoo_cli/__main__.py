"""`python -m zoo_cli` is the command `zoo`."""

import sys

from zoo_cli.cli import main

if __name__ == "__main__":
    sys.exit(main())
