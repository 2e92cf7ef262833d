"""The processes that train together: rank, device, and the few things they say to each other."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
import torch.distributed as dist

from spark_cot.errors import TrainingError

log = logging.getLogger(__name__)

_CPU: Final = torch.device("cpu")

#: A rank that is silent for so long is taken for dead, and the others end with an error.
_PATIENCE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class World:
    """A process among all that train together.

    Attributes
    ----------
    rank, size : int
    local_size : int
        Processes on this machine.
    device : torch.device
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1
    device: torch.device = _CPU

    @property
    def threads(self) -> int:
        """CPU threads for each process, the cores of the machine shared out."""
        return max(1, len(os.sched_getaffinity(0)) // self.local_size)

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes and speaks for all."""
        return self.rank == 0

    def say(self, text: str) -> None:
        """Log a line, once for all ranks."""
        if self.is_first:
            log.info(text)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over the ranks, the same on each."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all ranks have come here."""
        if self.size > 1:
            dist.barrier()

    def autocast(self, precision: str) -> AbstractContextManager[object]:
        """Matrix products in ``fp32``, ``bf16``, or (``auto``) bf16 on GPUs that have it."""
        kind = self.device.type
        able = kind == "cuda" and torch.cuda.is_bf16_supported()
        if precision == "bf16" or (precision == "auto" and able):
            return torch.autocast(kind, torch.bfloat16)
        return nullcontext()


def is_first_rank() -> bool:
    """Whether the launcher's environment makes this process rank 0, or names no rank at all."""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1 or os.environ["RANK"] == "0"


@contextmanager
def joined() -> Iterator[World]:
    """The world that the launcher's environment names; a process on its own where it names none.

    ``torchrun`` and ``TorchDistributor`` set RANK, WORLD_SIZE, LOCAL_RANK and the rest. GPUs talk
    through NCCL, CPUs through Gloo.

    Raises
    ------
    TrainingError
        The others cannot be reached, or there are more ranks than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    device = _device(int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1:
        yield World(device=device)
        return
    try:
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"the {size} ranks cannot find each other: {error}",
            os.environ.get("MASTER_ADDR"),
            "Check MASTER_ADDR, MASTER_PORT and that every rank was started",
        ) from error
    try:
        yield World(dist.get_rank(), size, local_size, device)
    finally:
        dist.destroy_process_group()


def _device(local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        return _CPU
    present = torch.cuda.device_count()
    if local_rank >= present:
        raise TrainingError(
            f"process {local_rank + 1} of this machine finds {present} GPUs, and needs its own",
            cure="Use one rank per GPU, or set CUDA_VISIBLE_DEVICES= to train on CPUs",
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
