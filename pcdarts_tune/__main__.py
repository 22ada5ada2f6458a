"""`python -m pcdarts_tune` is `pcdarts-tune`."""

from pcdarts_tune.cli import main

if __name__ == "__main__":
    main()
