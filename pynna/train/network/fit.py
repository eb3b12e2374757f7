# SPDX-License-Identifier: Apache-2.0
"""Training: data-parallel processes of one thread each, checkpoints, exact resume, exports on the way.

Where there are CUDA devices, there is a process for each; it keeps all spectra in the device's memory and augments
there.
"""

from __future__ import annotations

import datetime
import functools
import json
import math
import os
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.nn import functional
from tqdm import tqdm

from pynna.mapping import load_clips, load_weights
from pynna.mapping.calibration import feature_ranges
from pynna.mapping.dequantise import dequantise
from pynna.mapping.front_end import MfccConfig, windows
from pynna.train.config import DATA, Config
from pynna.train.network import lstm_cpu
from pynna.train.network.augment import Augmenter, Heard, Sounds, Source
from pynna.train.network.export import write_weights
from pynna.train.network.model import Network
from pynna.train.text.sampler import Grammar

BLANK = 28
SCALE = 1024.0  # of the loss on CUDA, whose LSTM computes in half precision under autocast: else gradients would vanish
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # NumPy's products are small; its threads would wait for each other on the same cores
    "MALLOC_MMAP_THRESHOLD_": str(2**31), "MALLOC_TRIM_THRESHOLD_": str(2**32),  # keep freed memory: no page faults
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",  # every length of a batch is another one: gigabytes after an hour
}  # fmt: skip
"""What the processes start with, where the caller's environment does not say otherwise: 1.7 times as fast."""


@dataclass(frozen=True)
class Options:
    """The command line's part of a run: end as HH:MM UTC, processes (on CUDA: one a device, whatever this says),
    whether to start over, from which model, and where (``cpu``, ``cuda``; None: on CUDA if there is some), and whether
    with weights rounded as the mapping rounds them: `fit.quantised` of the configuration then goes before `fit`. On
    CUDA `fit.cuda` goes before both."""

    until: str | None = None
    threads: int = 2
    fresh: bool = False
    init: Path | None = None
    device: str | None = None
    quantise: bool = False


@dataclass(frozen=True)
class Clip:
    """Where a clip's spectra are, and its labels."""

    shard: int
    start: int
    frames: int
    labels: tuple[int, ...]
    kept: float = 1.0  # chance of being kept when drawn


def encode(text: str, alphabet: str) -> tuple[int, ...]:
    """Label indices of a text."""
    return tuple(alphabet.index(c) for c in text)


def join(texts: Sequence[tuple[int, ...]], space: int) -> tuple[int, ...]:
    """Label indices of texts with a space between them."""
    return sum(((space, *text) for text in texts[1:]), texts[0]) if texts else ()


@functools.lru_cache(maxsize=1)
def _car_words() -> frozenset[str]:
    """The vocabulary of the car's sentences, by sampling."""
    grammar, rng = Grammar(DATA / "car.txt", DATA / "slots.txt"), random.Random(1)
    return frozenset(word for _ in range(20000) for word in grammar.sample(rng).split())


class Data:
    """The feature shards, mapped into memory; new ones are picked up as they appear."""

    def __init__(self, folder: Path, alphabet: str, kept: dict[str, float] | None = None) -> None:
        self.folder, self.alphabet, self.kept = folder, alphabet, kept or {}
        self.space = alphabet.index(" ")
        self.spectra: list[npt.NDArray[np.float16]] = []
        self.first: list[int] = [0]  # frames in all shards before each
        self.seen: set[str] = set()
        self.synthetic: list[Clip] = []
        self.real: dict[str, list[Clip]] = defaultdict(list)
        self.weights: dict[str, float] = {}  # of the real corpora, when one is drawn
        self.car_words = _car_words()

    def refresh(self) -> None:
        """Take in shards that were not there before, in the order of their names."""
        for path in sorted(self.folder.glob("*.json")):
            if path.stem in self.seen or path.stem == "stats":
                continue
            self.seen.add(path.stem)
            self.spectra.append(np.load(path.with_suffix(".npy"), mmap_mode="r"))
            self.first.append(self.first[-1] + len(self.spectra[-1]))
            for start, frames, text, voice in json.loads(path.read_text()):
                kept = self.kept.get(voice.partition(":")[0], 1.0)
                if not self.car_words.issuperset(text.split()):
                    kept *= self.kept.get("broad", 1.0)
                clip = Clip(len(self.spectra) - 1, start, frames, encode(text, self.alphabet), kept)
                if path.stem.startswith("synthetic"):
                    self.synthetic.append(clip)
                else:
                    self.real[voice.partition(":")[0]].append(clip)
        self.weights = {name: len(self.real[name]) ** (1 / 3) for name in sorted(self.real)}

    def spectrum(self, clip: Clip) -> npt.NDArray[np.float16]:
        """Spectra of a clip."""
        return self.spectra[clip.shard][clip.start : clip.start + clip.frames]

    def draw(self, rng: random.Random, real_share: float, max_frames: int) -> tuple[Clip, float]:
        """A clip and a tempo for it; each real corpus weighs the cube root of its size."""
        while True:
            if self.real and rng.random() < real_share:
                name = rng.choices(list(self.weights), list(self.weights.values()))[0]
                clip = rng.choice(self.real[name])
            else:
                clip = rng.choice(self.synthetic)
                if rng.random() >= clip.kept:
                    continue
            rate = math.exp(rng.uniform(-0.2, 0.22))
            if clip.frames / rate <= max_frames and clip.frames / rate > 1.25 * len(clip.labels) + 4:
                return clip, rate


class Batches:
    """An endless, seeded series of batches; `state` and `restore` allow an exact resume.

    Batches are augmented in a `studio`. One on a CUDA device keeps the shards that are there at the beginning, all of
    them; one in main memory takes the clips of a batch in, and new shards are picked up as they appear.
    """

    def __init__(self, data: Data, config: Config, rank: int, studio: Augmenter) -> None:
        self.data, self.config, self.rank, self.studio = data, config, rank, studio
        self.resident = studio.device.type != "cpu"
        if self.resident:
            studio.keep(data.spectra)
        self.views = 2 if config["fit"]["consistency"] > 0 else 1
        self.pool_index, self.position = -1, 0
        self.pool: list[list[tuple[Clip, float]]] = []
        self.easy = True

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {"pool": self.pool_index, "position": self.position, "easy": self.easy}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.easy = state["easy"]
        self._fill(state["pool"])
        self.position = state["position"]

    def _fill(self, index: int) -> None:
        if not self.resident:
            self.data.refresh()
        settings = self.config["fit"]
        rng = random.Random(f"{self.config['seed']}/{self.rank}/{index}")
        longest = settings["easy_frames"] if self.easy else settings["max_frames"]
        frames = settings["batch_frames"] if not self.easy else 900
        real_share = 0.0 if self.easy else settings["real_share"]
        drawn = [self.data.draw(rng, real_share, longest) for _ in range(settings["pool"] if not self.easy else 1000)]
        drawn.sort(key=lambda d: d[0].frames / d[1])
        batches: list[list[tuple[Clip, float]]] = []
        batch: list[tuple[Clip, float]] = []
        for item in drawn:
            batch.append(item)
            if self.views * len(batch) * (item[0].frames / item[1] + 18) >= frames:
                batches.append(batch)
                batch = []
        rng.shuffle(batches)
        self.pool, self.pool_index, self.position = batches, index, 0

    def next(self, hard: float) -> tuple[Heard, Tensor, Tensor]:
        """What is heard, on the studio's device; labels one after the other, and their counts.

        Where `fit.consistency` of the configuration is more than 0, the second half of the batch is the first heard
        elsewhere: the same clips, frame by frame, coloured otherwise. In some batches the speech lies anywhere within
        up to ten seconds of its surroundings, in some two clips are one recording, and some recordings hold nothing
        but surroundings: what is around a sentence is not to disturb the network.
        """
        if self.position >= len(self.pool):
            self._fill(self.pool_index + 1)
        items = self.pool[self.position]
        seed = [self.config["seed"], self.rank, self.pool_index + 1, self.position]
        rng = np.random.default_rng(seed)
        self.position += 1
        settings = self.config["fit"]
        # for a whole batch: long silences for one clip would pad all of them
        late, pairs = (rng.random(2) < (settings["late"], settings["joined"])) & (not self.easy)
        extra = 0
        if late and not pairs:
            extra = int(math.exp(rng.uniform(math.log(30), math.log(settings["late_frames"]))))
            items = self._fewer(items, extra, rng)
        nothing = (rng.random(len(items)) < settings["nothing"]) & (not self.easy)
        texts = [() if silent else c.labels for (c, _), silent in zip(items, nothing, strict=True)]
        rows = [[i] for i in range(len(items))]
        if pairs:
            order = rng.permutation(len(items)).tolist()
            rows = [order[i : i + 2] for i in range(0, len(items), 2)]
            texts = [join([texts[i] for i in row if texts[i]], self.data.space) for row in rows]
        starts = [self.data.first[c.shard] + c.start for c, _ in items]
        if not self.resident:
            self.studio.keep([self.data.spectrum(c) for c, _ in items])
            starts = np.cumsum([0] + [c.frames for c, _ in items[:-1]]).tolist()
        sources = [
            Source(start, c.frames, rate, bool(silent))
            for start, (c, rate), silent in zip(starts, items, nothing, strict=True)
        ]
        recordings = [[sources[i] for i in row] for row in rows]
        heard = self.studio.hear(
            recordings,
            [*seed, 1],
            hard,
            10,
            settings.get("without", ()),
            self.views,
            extra,
            clean=settings["distil"] > 0 and not extra,
        )
        labels = torch.tensor([label for text in texts for label in text] * self.views, dtype=torch.long)
        return heard, labels, torch.tensor([len(text) for text in texts] * self.views)

    def _fewer(self, items: list[tuple[Clip, float]], extra: int, rng: np.random.Generator) -> list[tuple[Clip, float]]:
        """As many of a batch's clips as fit into twice its frames when each is so many frames longer."""
        longest = max(clip.frames / rate for clip, rate in items)
        room = int(2 * self.config["fit"]["batch_frames"] / (longest + extra))
        chosen = sorted(rng.permutation(len(items))[: max(4, room)].tolist())
        return [items[i] for i in chosen]


def statistics(config: Config, data: Data, sounds: Sounds) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each coefficient over some augmented speech, made once."""
    path = config.folder("features") / "stats.npz"
    if not path.exists():
        rng = random.Random(config["seed"])
        studio = Augmenter(sounds, torch.device("cpu"), config["features"]["mel_upper"])
        drawn = [data.draw(rng, 0.1, 400) for _ in range(400)]
        studio.keep([data.spectrum(clip) for clip, _ in drawn])
        starts = np.cumsum([0] + [clip.frames for clip, _ in drawn]).tolist()
        rows = [[Source(start, clip.frames, rate)] for start, (clip, rate) in zip(starts, drawn, strict=False)]
        features, lengths, *_ = studio.hear(rows, [config["seed"]], 0.7)
        frames = features[torch.arange(len(features))[:, None] < lengths].numpy()
        frames = frames[frames[:, 0] > -60.0]  # digital silence would blow up the deviations
        np.savez(path, mean=frames.mean(axis=0), std=frames.std(axis=0))
    with np.load(path) as stats:
        return torch.from_numpy(stats["mean"].astype(np.float32)), torch.from_numpy(stats["std"].astype(np.float32))


def feature_range(settings: dict[str, Any]) -> Tensor:
    """Where the mapping will clip each coefficient [coefficients], measured as it does and on what it calibrates with.

    `settings` are `features` of the configuration.
    """
    front_end = MfccConfig(
        window=settings["window"], step=settings["step"], n_coefficients=settings["coefficients"],
        n_mel=settings["channels"], lower_hz=settings["mel_lower"], upper_hz=settings["mel_upper"],
    )  # fmt: skip
    clips = load_clips(None, front_end.sample_rate)
    frames = np.concatenate([windows(clip.pcm, front_end, 0)[:, 0] for clip in clips])
    return torch.from_numpy(feature_ranges(frames).astype(np.float32))


def divergence(log_p: Tensor, valid: Tensor) -> Tensor:
    """How far the first half of a batch is from the second, clip by clip, and the reverse: nats, summed over frames.

    `log_p` are log-probabilities [time, batch, labels], `valid` the frames that count [time, batch]. Each half is the
    other's target, without a gradient: Yao et al., "CR-CTC: consistency regularization on CTC for improved speech
    recognition", 2024 (arXiv 2410.05101).
    """
    target = log_p.detach().roll(log_p.shape[1] // 2, dims=1)
    return (target.exp() * (target - log_p)).sum(dim=2)[valid].sum()


def detection(logits: Tensor, speech: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy of the speech's logits [time, batch] where `Heard.speech` is 0 or 1: nats, summed over frames."""
    nats = functional.binary_cross_entropy_with_logits(logits, (speech == 1).float(), reduction="none")
    return nats[valid & (speech >= 0)].sum()


def learning_rate(settings: dict[str, Any], progress: float, step: int) -> float:
    """Warm-up, a plateau, then a cosine to the final rate at progress 1."""
    top, floor, hold = settings["learning_rate"], settings["final_rate"], settings["hold_share"]
    rate = top
    if progress > hold:
        rate = floor + (top - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - hold) / (1 - hold))))
    return float(rate * min(1.0, (step + 1) / 200))


def start_from(net: Network, model: Path) -> npt.NDArray[np.float32]:
    """Give `net` the weights of a .nna or .npz file, of its width or narrower; returns the label priors of it.

    Raises
    ------
    ValueError
        A model of another shape.
    """
    weights = dequantise(model) if model.suffix == ".nna" else load_weights(model)
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
        self.device = _device(args.device, rank)
        self.settings = config["fit"] | (config["fit"]["quantised"] if args.quantise else {})
        if self.device.type == "cuda":
            self.settings = self.settings | config["fit"]["cuda"]
        config = replace(config, settings=config.settings | {"fit": self.settings})
        self.config, self.rank, self.world = config, rank, world
        self.data = Data(config.folder("features"), config["network"]["alphabet"], self.settings["kept"])
        self.data.refresh()
        sounds = Sounds.load(config.folder("features"))
        studio = Augmenter(sounds, self.device, config["features"]["mel_upper"])
        self.batches = Batches(self.data, config, rank, studio)
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
        self.teacher = self._teacher(args.init)
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

    def _teacher(self, init: Path | None) -> Network | None:
        """The network that training begins with, as it was: what it makes of clean clips is kept."""
        if init is None or self.settings["distil"] <= 0:
            return None
        net = self.net
        teacher = Network(net.width, net.mean, net.std, net.context, relu_clip=net.relu_clip,
                          forget_bias=net.forget_bias, feature_range=net.feature_range)  # fmt: skip
        start_from(teacher, init)
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


def _device(wanted: str | None, rank: int) -> torch.device:
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
    world = args.threads if _device(args.device, 0).type == "cpu" else torch.cuda.device_count()
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
