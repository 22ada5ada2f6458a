"""`python -m pcdarts_tune` is `pcdarts-tune`."""

from pcdarts_tune.cli.group import main

if __name__ == "__main__":
    try:
        main()
    finally:
        # Ctrl-C in code that a library made from a string leaves a mark in the interpreter, by which `python -m` ends with a
        # signal and not with our exit code; running any string takes it away
        exec("")
