"""Launcher for a checkout: `python cli.py --help`, or `ray job submit ... -- python cli.py sweep ...`. Not in the wheel."""

from pcdarts_tune.cli import main

if __name__ == "__main__":
    main()
