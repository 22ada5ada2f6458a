"""Launcher for a checkout, not in the wheel: `ray job submit ... -- python cli.py sweep ... --storage /shared/...`."""

from pcdarts_tune.cli.group import main

if __name__ == "__main__":
    main()
