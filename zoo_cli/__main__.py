"""`python -m zoo_cli` is the command `zoo`."""

from zoo_cli.cli import main

if __name__ == "__main__":
    main()
