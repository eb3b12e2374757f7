# SPDX-License-Identifier: Apache-2.0
"""One of the data-parallel processes of training: steps, synchronisation, checkpoints, exact resume.

Where there are CUDA devices, there is a process for each; it keeps all spectra in the device's memory and augments
there.
"""

from __future__ import annotations

import datetime
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from pynna.mapping import Weights, load_weights
from pynna.mapping.dequantise import dequantise
from pynna.train.config import Config
from pynna.train.network import lstm_cpu
from pynna.train.network.augment import Augmenter
from pynna.train.network.batches import Batches, Data
from pynna.train.network.export import write_weights
from pynna.train.network.feature_statistics import feature_range, statistics
from pynna.train.network.losses import detection, divergence
from pynna.train.network.model import Network
from pynna.train.network.surroundings import Sounds

BLANK = 28
SCALE = 1024.0  # of the loss on CUDA, whose LSTM computes in half precision under autocast: else gradients would vanish


@dataclass(frozen=True)
class Options:
    """The command line's part of a run: end as HH:MM UTC, processes (on CUDA: one a device, whatever this says),
    whether to start over, from which model, and where (``cpu``, ``cuda``; None: on CUDA if there is some), and whether
    with weights rounded as the mapping rounds them: `fit.quantised` of the configuration then goes before `fit`. On
    CUDA `fit.cuda` goes before both. The teacher is of any width; without one it is the model of the start."""

    until: str | None = None
    threads: int = 2
    fresh: bool = False
    init: Path | None = None
    device: str | None = None
    quantise: bool = False
    teacher: Path | None = None


def learning_rate(settings: dict[str, Any], progress: float, step: int) -> float:
    """Warm-up, a plateau, then a cosine to the final rate at progress 1."""
    top, floor, hold = settings["learning_rate"], settings["final_rate"], settings["hold_share"]
    rate = top
    if progress > hold:
        rate = floor + (top - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - hold) / (1 - hold))))
    return float(rate * min(1.0, (step + 1) / 200))


def weights_of(model: Path) -> Weights:
    """The weights of a .nna or .npz file, in floating point."""
    return dequantise(model) if model.suffix == ".nna" else load_weights(model)


def start_from(net: Network, model: Path) -> npt.NDArray[np.float32]:
    """Give `net` the weights of a .nna or .npz file, of its width or narrower; returns the label priors of it.

    Raises
    ------
    ValueError
        A model of another shape.
    """
    weights = weights_of(model)
    if weights.n_cell > net.width or weights.n_context != net.context:
        raise ValueError(
            f"{model} has {weights.n_cell} cells and a context of {weights.n_context} frames; the configuration has "
            f"{net.width} and {net.context}; as many cells or more, and the same context, are right"
        )
    net.take({name: torch.from_numpy(value.copy()) for name, value in weights.arrays.items()}, weights.forget_bias)
    priors = weights.label_priors
    return np.full(weights.n_labels, 1 / weights.n_labels, np.float32) if priors is None else np.array(priors)


class Trainer:
    """One of the data-parallel processes; rank 0 also keeps time, checkpoints and exports."""

    def __init__(self, config: Config, args: Options, rank: int, world: int) -> None:
        self.device = device_of(args.device, rank)
        self.settings = config["fit"] | (config["fit"]["quantised"] if args.quantise else {})
        if self.device.type == "cuda":
            self.settings = self.settings | config["fit"]["cuda"]
        config = replace(config, settings=config.settings | {"fit": self.settings})
        self.config, self.rank, self.world = config, rank, world
        self.data = Data(config.folder("features"), config["network"]["alphabet"], self.settings["kept"])
        self.data.refresh()
        sounds = Sounds.load(config.folder("features"))
        augmenter = Augmenter(sounds, self.device, config["features"]["mel_upper"])
        self.batches = Batches(self.data, config, rank, augmenter)
        torch.manual_seed(config["seed"])
        mean, std = statistics(config, self.data, sounds)
        network = config["network"]
        self.net = Network(
            network["width"], mean, std, config["features"]["context"], relu_clip=network["relu_clip"],
            forget_bias=network["forget_bias"], dropout=self.settings["dropout"],
            quantise=args.quantise, feature_range=feature_range(config["features"]),
        )  # fmt: skip
        self.priors = torch.full((29,), 1 / 29.0)
        if args.init:
            self.priors = torch.from_numpy(start_from(self.net, args.init))
        self.half = self.device.type != "cpu" or lstm_cpu.bfloat16()
        self.net.to(self.device)
        self.teacher = self._teacher(args.teacher or args.init)
        self.parameters = list(self.net.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=self.settings["weight_decay"], fused=True
        )
        self.ema = [p.detach().clone() for p in self.parameters]
        self.step, self.seconds, self.audio_seconds, self.hard_since = 0, 0.0, 0.0, 0.0
        self.loss, self.progress = float("nan"), 0.0
        # loss, characters, frames, steps, posteriors, since the last synchronise
        self.counted = torch.zeros(4 + 29, device=self.device)
        self.checkpoint = config.folder("checkpoints") / "last.pt"
        if self.checkpoint.exists() and not args.fresh:
            self._restore()
        elif args.init:  # a network that spells already
            self.hard_since, self.batches.easy = -360.0, False
        self.until = _until(args.until, self.settings["minutes"] * 60 - self.seconds)
        self.left_at_start = self.until - time.time()
        self.progress = self.seconds / (self.seconds + self.left_at_start)
        torch.manual_seed(1000 * config["seed"] + rank + self.step)  # dropout differs between processes

    def _teacher(self, model: Path | None) -> Network | None:
        """The network of a file, of any width: the one trained comes near to what it makes of clean clips."""
        if model is None or self.settings["distil"] <= 0:
            return None
        net, weights = self.net, weights_of(model)
        teacher = Network(weights.n_cell, net.mean, net.std, net.context, relu_clip=net.relu_clip,
                          forget_bias=net.forget_bias, feature_range=net.feature_range)  # fmt: skip
        start_from(teacher, model)
        return teacher.to(self.device).eval().requires_grad_(False)

    def _restore(self) -> None:
        saved = torch.load(self.checkpoint, map_location="cpu", weights_only=False)
        self.net.load_state_dict(saved["net"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.ema = [average.to(self.device) for average in saved["ema"]]
        self.priors = saved["priors"]
        self.step, self.seconds, self.audio_seconds = saved["step"], saved["seconds"], saved["audio_seconds"]
        self.hard_since, self.loss = saved["hard_since"], saved["loss"]
        self.batches.restore(saved["batches"][self.rank % len(saved["batches"])])

    def save(self) -> None:
        """Gather the processes' positions and write a checkpoint (rank 0)."""
        states: list[Any] = [None] * self.world
        dist.all_gather_object(states, self.batches.state())
        if self.rank:
            return
        saved = {
            "net": {name: value.cpu() for name, value in self.net.state_dict().items()},
            "optimizer": self.optimizer.state_dict(), "ema": [average.cpu() for average in self.ema],
            "priors": self.priors, "step": self.step, "seconds": self.seconds, "audio_seconds": self.audio_seconds,
            "hard_since": self.hard_since, "loss": self.loss, "batches": states, "width": self.net.width,
            "quantise": self.net.quantise,
        }  # fmt: skip
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(saved, temporary)
        os.replace(temporary, self.checkpoint)
        write_weights(self.config, saved, self.config.folder("export") / "weights.npz")

    def _hard(self) -> float:
        """Strength of augmentation: none in the easy part, then rising for six minutes."""
        if self.batches.easy:
            return 0.0
        return float(self.settings["hard"] * min(1.0, 0.4 + 0.6 * (self.seconds - self.hard_since) / 360))

    def train_step(self) -> None:
        """One batch and one update, in this process alone; `synchronise` brings the processes together."""
        heard, labels, counts = self.batches.next(self._hard())
        lengths = heard.frames
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits, speech = self.net.both(heard.features)
        log_p = functional.log_softmax(logits.float(), dim=2)
        labels = labels.to(self.device, non_blocking=True)
        nll = functional.ctc_loss(log_p, labels, lengths, counts, BLANK, reduction="none", zero_infinity=True)
        frames = lengths.to(self.device, non_blocking=True)
        valid = torch.arange(len(log_p), device=self.device)[:, None] < frames[None]
        loss = nll.sum()
        if self.batches.views > 1:
            loss = loss + self.settings["consistency"] * divergence(log_p, valid)
        if self.teacher is not None and heard.clean is not None:
            loss = loss + self.settings["distil"] * self._taught(heard.clean, log_p, valid)
        loss = loss + self.settings["speech"] * detection(speech.float(), heard.speech, valid)
        scale = SCALE if self.device.type == "cuda" else 1.0
        (loss * (scale / counts.sum())).backward()  # type: ignore[no-untyped-call]
        if scale != 1.0:
            torch._foreach_div_([p.grad for p in self.parameters if p.grad is not None], scale)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings["clip_norm"])
        # the fused optimizer leaves out a step where this is 1: to ask for the norm here would wait for the device
        self.optimizer.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.progress, self.step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        prior = (log_p.detach().exp() * valid[:, :, None]).sum(dim=(0, 1))
        counted = torch.tensor([float(counts.sum()), float(lengths.sum()), 1.0]).to(self.device, non_blocking=True)
        self.counted += torch.cat([nll.detach().sum()[None], counted, prior])
        self.step += 1

    def _taught(self, clean: Tensor, log_p: Tensor, valid: Tensor) -> Tensor:
        """How far log-probabilities are from what the teacher makes of the clips alone: nats, summed over frames.

        Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015 (arXiv 1503.02531).
        """
        assert self.teacher is not None
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            target = functional.log_softmax(self.teacher(clean).float(), dim=2)
        return (target.exp() * (target - log_p)).sum(dim=2)[valid].sum()

    def synchronise(self) -> None:
        """Average weights and moments over the processes (local SGD), gather the counts, take rank 0's clock."""
        tensors: list[Tensor] = []
        if self.world > 1:  # a process alone would only carry them from its device and back
            tensors += self.parameters
            for p in self.parameters:
                state = self.optimizer.state[p]
                tensors += [state["exp_avg"], state["exp_avg_sq"]]
        clock = torch.tensor([self.progress, self.seconds, float(self.step)]) if self.rank == 0 else torch.zeros(3)
        flat = torch.cat([t.detach().reshape(-1).cpu() for t in tensors] + [self.counted.cpu(), clock])
        dist.all_reduce(flat)
        position = 0
        with torch.no_grad():
            for t in tensors:
                t.copy_(flat[position : position + t.numel()].view_as(t) / self.world)
                position += t.numel()
            decay = min(self.settings["ema"], self.step / (self.step + 200))
            torch._foreach_lerp_(self.ema, [p.detach() for p in self.parameters], 1 - decay)
        counted = flat[position : position + len(self.counted)]
        self.progress, self.seconds = float(flat[-3]), float(flat[-2])
        self.step = int(flat[-1])
        self.counted.zero_()
        steps = float(counted[3])
        self.audio_seconds += float(counted[2]) * 0.02
        self.priors.lerp_(counted[4:] / counted[2], 1 - 0.998**steps if self.step > 300 else 0.3)
        loss = float(counted[0] / counted[1])
        share = 0.98**steps
        self.loss = loss if math.isnan(self.loss) else share * self.loss + (1 - share) * loss
        self._end_easy()

    def _end_easy(self) -> None:
        """Leave the easy part when its time is over or the network has begun to spell."""
        if self.batches.easy and (self.seconds > 60 * self.settings["easy_minutes"] or self.loss < 1.0):
            self.hard_since = self.seconds
            self.batches.easy = False
            self.batches.pool = []  # a new pool, of all lengths

    def run(self) -> None:
        """Train until the end of the time."""
        started, before = time.time(), self.seconds
        last_save, last_log = time.time(), time.time()
        audio_before = self.audio_seconds
        bar = tqdm(disable=self.rank > 0, unit="step", initial=self.step, mininterval=10)
        log = open(self.config.work / "fit.tsv", "a", encoding="utf-8") if self.rank == 0 else None  # noqa: SIM115
        while True:
            pause = time.time() + self.settings["sync_seconds"]
            while time.time() < pause:
                self.train_step()
                bar.update()
            if self.rank == 0:
                self.seconds = before + time.time() - started
                self.progress = self.seconds / (before + self.left_at_start)
            self.synchronise()
            flags = torch.tensor([0, 0])
            if self.rank == 0:
                now = time.time()
                flags = torch.tensor([int(now - last_save > 180), int(now >= self.until)])
                if now - last_log > 30 and log:
                    rate = (self.audio_seconds - audio_before) / 3600 / ((now - last_log) / 60)
                    line = (
                        f"{datetime.datetime.now(datetime.UTC):%H:%M:%S}\tstep {self.step}\tloss {self.loss:.3f}\t"
                        f"hours {self.audio_seconds / 3600:.2f}\th/min {rate:.2f}\thard {self._hard():.2f}\tprogress "
                        f"{self.progress:.3f}\tclips {len(self.data.synthetic)}\tblank {float(self.priors[BLANK]):.3f}"
                    )
                    log.write(line + "\n")
                    log.flush()
                    last_log, audio_before = now, self.audio_seconds
            dist.broadcast(flags, 0)
            if flags.any():
                self.save()
                last_save = time.time()
            if flags[1]:
                break
        bar.close()


def device_of(wanted: str | None, rank: int) -> torch.device:
    """Where process `rank` computes."""
    if (wanted or "cuda") == "cuda" and torch.cuda.is_available():
        return torch.device("cuda", rank % torch.cuda.device_count())
    if wanted not in (None, "cpu"):
        raise ValueError(f"device {wanted!r} is not to be had here; cpu, or cuda where there is one")
    return torch.device("cpu")


def _until(text: str | None, seconds: float) -> float:
    """The end as a Unix time: HH:MM UTC today, or `seconds` from now."""
    if text is None:
        return time.time() + seconds
    hour, minute = map(int, text.split(":"))
    now = datetime.datetime.now(datetime.UTC)
    end = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (end if end > now else end + datetime.timedelta(days=1)).timestamp()
