"""One training run in several processes of one thread each.

On a busy machine two processes that wait for each other once per step are several times faster than
one process with two threads that wait for each other in every matrix product.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn

from abm.llm.embedded.training.loop import Plan, Training

__all__ = ["train"]


def train(plan: Plan, folder: Path, output: Path, processes: int) -> None:
    """Train to the end of the plan, resuming from the folder's checkpoint if it has one."""
    Training(plan, folder, output)  # makes the tokenizer once, and refuses a foreign checkpoint
    if processes == 1:
        _part(0, 1, plan, folder, output)
        return
    meeting = folder.resolve() / f"meeting-{os.getpid()}"
    arguments = (processes, plan, folder, output, meeting)
    try:
        spawn(_part, arguments, nprocs=processes)  # type: ignore[no-untyped-call]
    finally:
        meeting.unlink(missing_ok=True)


def _part(
    part: int, parts: int, plan: Plan, folder: Path, output: Path, meeting: Path | None = None
) -> None:
    torch.set_num_threads(1)
    if meeting is not None:
        where = f"file://{meeting}"
        distributed.init_process_group("gloo", init_method=where, rank=part, world_size=parts)
    Training(plan, folder, output, part, parts).run()
    if meeting is not None:
        distributed.destroy_process_group()
