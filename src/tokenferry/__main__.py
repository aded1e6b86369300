"""Runs the command line as `python -m tokenferry`."""

from tokenferry.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
