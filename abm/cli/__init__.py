"""The command `abm`: studies, runs, replays, forks, prompts and models from the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    0: done. 1: something failed while it ran (a run, a replay that differs, a damaged ledger).
    2: the input cannot be used. 3: a budget is spent. 130: stopped by hand.
    """
    # Before NumPy is imported, and for processes of pools. The matrices here are small, and the
    # threads of OpenBLAS spend most of the processor's time waiting for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from abm.cli.errors import guarded

    sys.exit(guarded(list(sys.argv[1:] if arguments is None else arguments)))
