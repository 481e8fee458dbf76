"""The processes of one training: one, or those that `torchrun` started, which share each batch."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from batchgender.errors import UserError
from batchgender.threads import available_cores

Value = TypeVar("Value")
Batch = TypeVar("Batch")
# The first process finds faces and validates alone, which may take long; where one dies, torchrun ends the others.
_PATIENCE = timedelta(days=1)


def pick_device(name: str, index: int | None = None) -> torch.device:
    """Turn "auto" into CUDA, MPS or the CPU, whichever is there first; raises UserError where `name` is not.

    `index` is that of the CUDA device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name != "auto" and not there[name]:
        raise UserError(f"no {name} device here; use --device auto")
    kind = next(device for device, found in there.items() if found) if name == "auto" else name
    return torch.device(kind, index) if kind == "cuda" and index is not None else torch.device(kind)


@dataclass(frozen=True)
class Processes:
    """This process' number among those of the training, how many they are, and its device."""

    device: torch.device
    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that reports and writes files."""
        return self.number == 0

    def batch_size(self, batch_size: int) -> int:
        """The photos of a batch that each process takes; raises UserError where they are no whole number."""
        if batch_size % self.count:
            whole = -(-batch_size // self.count) * self.count
            raise UserError(
                f"{self.count} processes can't share batches of {batch_size} photos; give --batch-size {whole}"
            )
        return batch_size // self.count

    def share(self, order: Sequence[int], batch_size: int) -> list[int]:
        """This process' photos of an epoch: every so manieth of each batch."""
        batches = range(0, len(order), batch_size)
        return [index for at in batches for index in order[at : at + batch_size][self.number :: self.count]]

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The module, with gradients that are averaged over the processes."""
        if self.count == 1:
            return module
        return nn.parallel.DistributedDataParallel(module)

    def in_step(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches for as long as each process has one: a step in which one is missing would wait for ever."""
        for batch in batches:
            if self.count > 1 and not self._all_have_one(True):
                return
            yield batch
        if self.count > 1:
            self._all_have_one(False)

    def _all_have_one(self, have: bool) -> bool:
        flag = torch.tensor(int(have), device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MIN)
        return bool(flag.item())

    def sums(self, *values: float) -> list[float]:
        """Each value summed over the processes."""
        if self.count == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return summed.tolist()

    def by_first(self, work: Callable[[], Value]) -> Value:
        """What the first process' work gives, for all of them: its value, or the UserError that it raises."""
        if self.count == 1:
            return work()
        given: list[Any] = [None, None]
        if self.first:
            try:
                given[0] = work()
            except UserError as error:
                given[1] = error
        dist.broadcast_object_list(given, device=self.device)
        if given[1] is not None:
            raise given[1]
        value: Value = given[0]
        return value


@contextmanager
def started_processes(device: str) -> Iterator[Processes]:
    """The processes that `torchrun` started, connected, else this one alone, on `device` or what "auto" finds.

    Raises UserError where there is no such device, or not one for each process.
    """
    # WORLD_SIZE alone does not tell: cluster managers set it where nothing else is meant for torch.
    launched = dist.is_available() and dist.is_torchelastic_launched()
    count = int(os.environ["WORLD_SIZE"]) if launched else 1
    if count == 1:
        yield Processes(pick_device(device))
        return
    here, beside = (int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    target = pick_device(device, here)
    if target.type == "mps":
        raise UserError("mps has one device, for one process; run it without torchrun, or with --device cpu")
    if target.type == "cuda":
        if beside > torch.cuda.device_count():
            raise UserError(
                f"{beside} processes here, and {torch.cuda.device_count()} CUDA devices; start as many processes as"
                " there are devices, or give --device cpu"
            )
        torch.cuda.set_device(target)
    else:
        # torchrun leaves each process one thread, for it knows nothing of its work.
        torch.set_num_threads(max(1, available_cores() // beside))
    dist.init_process_group("nccl" if target.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Processes(target, dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
