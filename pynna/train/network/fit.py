# SPDX-License-Identifier: Apache-2.0
"""Training: data-parallel processes of one thread each, or one for each CUDA device."""

from __future__ import annotations

import datetime
import os
import random
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from pynna.train.config import Config
from pynna.train.network.batches import Data
from pynna.train.network.feature_statistics import statistics
from pynna.train.network.surroundings import Sounds
from pynna.train.network.trainer import Options, Trainer, device_of

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # NumPy's products are small; its threads would wait for each other on the same cores
    "MALLOC_MMAP_THRESHOLD_": str(2**31), "MALLOC_TRIM_THRESHOLD_": str(2**32),  # keep freed memory: no page faults
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",  # every length of a batch is another one: gigabytes after an hour
}  # fmt: skip
"""What the processes start with, where the caller's environment does not say otherwise: 1.7 times as fast."""


def _process(rank: int, world: int, config: Config, args: Options, port: int) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(max(1, args.threads // world))
    torch.set_flush_denormal(True)
    dist.init_process_group("gloo", rank=rank, world_size=world, timeout=datetime.timedelta(minutes=30))
    Trainer(config, args, rank, world).run()
    dist.destroy_process_group()


def _check_resume(checkpoint: Path, quantise: bool) -> None:
    """Raise ValueError where a run would go on with weights rounded that were not so far, or the reverse."""
    if not checkpoint.exists():
        return
    so_far = torch.load(checkpoint, map_location="cpu", weights_only=False, mmap=True).get("quantise", False)
    if so_far != quantise:
        was = "with" if so_far else "without"
        raise ValueError(f"{checkpoint} was trained {was} --quantise; to go on {was} it, or to start --fresh, is right")


def fit(config: Config, args: Options) -> None:
    """Train with one process a thread, or a CUDA device.

    Raises
    ------
    ValueError
        A device that is not there; a checkpoint trained with rounded weights to go on without them, or the reverse.
    """
    if not args.fresh:
        _check_resume(config.folder("checkpoints") / "last.pt", args.quantise)
    world = args.threads if device_of(args.device, 0).type == "cpu" else torch.cuda.device_count()
    data = Data(config.folder("features"), config["network"]["alphabet"])
    data.refresh()
    statistics(config, data, Sounds.load(config.folder("features")))
    port, ours = random.randint(20000, 40000), set(ENVIRONMENT) - set(os.environ)
    os.environ.update({name: ENVIRONMENT[name] for name in ours})
    try:
        spawn(_process, (world, config, args, port), nprocs=world, daemon=True)  # type: ignore[no-untyped-call]
    finally:
        for name in ours:
            del os.environ[name]
