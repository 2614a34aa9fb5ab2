"""`make bench`: what a cold start, a job and its AWS calls cost, against a stock handler, in one run."""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
"""The repository. Its library is measured, whichever one is installed."""

sys.path.insert(0, str(HOME / "shared"))
