"""`python -m offload`: the command line, as `offload` is."""

from offload.cli import run

if __name__ == "__main__":
    run()
