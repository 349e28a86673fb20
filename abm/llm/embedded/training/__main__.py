"""`python -m abm.llm.embedded.training`: train the embedded model and write its GGUF.

At most 90 minutes on two idle cores. It can be stopped at any time; the same command goes on from
the last checkpoint.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from abm.llm.embedded.training.loop import Plan
from abm.llm.embedded.training.processes import train


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m abm.llm.embedded.training", description=__doc__
    )
    parser.add_argument("--folder", type=Path, default=Path("embedded-training"))
    parser.add_argument("--output", type=Path, default=Path("embedded.gguf"))
    parser.add_argument("--processes", type=int, default=2, help="of one thread each")
    for field in fields(Plan):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default)
    values = vars(parser.parse_args())
    folder, output, processes = (values.pop(n) for n in ("folder", "output", "processes"))
    plan = Plan(**values)
    train(plan, folder, output, processes)


if __name__ == "__main__":
    main()
