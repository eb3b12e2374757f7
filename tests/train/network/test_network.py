# SPDX-License-Identifier: Apache-2.0
"""The trained network, its export, and the trainer's resume."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tqdm")
pytest.importorskip("soundfile")

import pynna  # noqa: E402
from pynna.decoding.options import MAX_PASSES  # noqa: E402
from pynna.mapping import map_model  # noqa: E402
from pynna.mapping.dequantise import dequantise  # noqa: E402
from pynna.mapping.front_end import context_windows  # noqa: E402
from pynna.mapping.npz import import_npz  # noqa: E402
from pynna.train import config as configuration  # noqa: E402
from pynna.train.corpora.corpora import save_features  # noqa: E402
from pynna.train.network import lstm_cpu  # noqa: E402
from pynna.train.network.augment import Augmenter  # noqa: E402
from pynna.train.network.batches import Batches, Data  # noqa: E402
from pynna.train.network.export import average, write_weights  # noqa: E402
from pynna.train.network.fit import fit  # noqa: E402
from pynna.train.network.losses import divergence  # noqa: E402
from pynna.train.network.model import Network, rounded  # noqa: E402
from pynna.train.network.surroundings import Sounds  # noqa: E402
from pynna.train.network.trainer import Options, Trainer, learning_rate  # noqa: E402

ALPHABET = " abcdefghijklmnopqrstuvwxyz'"


@pytest.fixture
def net() -> Any:
    torch.manual_seed(3)
    net = Network(48, torch.randn(26) * 10, torch.rand(26) * 8 + 2)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return net.eval()


@pytest.mark.parametrize("width", [48, 64])
def test_a_wider_network_begins_as_the_narrow_one(net: Any, width: int) -> None:
    torch.manual_seed(4)
    wide = Network(width, torch.randn(26) * 10, torch.rand(26) * 8 + 2, forget_bias=0.5).eval()
    wide.take(net.arrays(), net.forget_bias)
    batch = torch.from_numpy(_features(30))[:, None]
    with torch.no_grad():
        np.testing.assert_allclose(wide(batch), net(batch), atol=2e-4)
    assert (wide.kernel[:, : wide.width] != 0).float().mean() > 0.5


def _saved(net: Any) -> dict[str, Any]:
    return {
        "width": net.width, "net": net.state_dict(), "ema": [p.detach() for p in net.parameters()],
        "priors": torch.full((29,), 1 / 29), "quantise": net.quantise,
    }  # fmt: skip


def _features(n: int) -> np.ndarray[Any, Any]:
    features = np.random.default_rng(n).normal(size=(n, 26)).astype(np.float32) * 8
    features[n // 2 : n // 2 + 3] = 0
    features[n // 2 : n // 2 + 3, 0] = -247.0  # digital silence
    return features


@pytest.mark.parametrize(("quantise", "clipped"), [(False, False), (True, False), (True, True)])
def test_exported_network_in_numpy_equals_torchs(net: Any, quantise: bool, clipped: bool, tmp_path: Path) -> None:
    net.quantise = quantise
    if clipped:
        net.feature_range.copy_(torch.linspace(90.0, 8.0, 26))
    path = tmp_path / "weights.npz"
    write_weights(configuration.load(None, tmp_path), _saved(net), path)
    clips = [_features(40), _features(17)]
    batch = torch.zeros(40, 2, 26)
    for i, clip in enumerate(clips):
        batch[: len(clip), i] = torch.from_numpy(clip)
    with torch.no_grad():
        expected = torch.log_softmax(net(batch), dim=2).numpy()
    network = import_npz(path).network()
    for i, got in enumerate(network.run_many([context_windows(clip) for clip in clips])):
        np.testing.assert_allclose(got, expected[: len(clips[i]), i], atol=1e-4)


def test_weights_trained_rounded_are_mapped_to_int8_without_a_loss(net: Any, tmp_path: Path) -> None:
    exported, mapped = tmp_path / "weights.npz", tmp_path / "model.nna"
    net.feature_range.fill_(60.0)  # as training has it: a network that tells none is mapped as one from elsewhere
    losses = {}
    for net.quantise in (False, True):
        write_weights(configuration.load(None, tmp_path), _saved(net), exported)
        map_model(exported, mapped, report=False)
        before, after = import_npz(exported).arrays, dequantise(mapped).arrays
        names = [n for n in before if not n.startswith("layer_1") and not n.endswith("bias")]
        losses[net.quantise] = {n: float(np.abs(after[n] - before[n]).max() / np.abs(before[n]).max()) for n in names}
    assert max(losses[True].values()) < 1e-5 < min(losses[False].values())
    assert pynna.load(mapped).passes == dequantise(mapped).metadata["passes"] == MAX_PASSES


def test_rounded_weights_are_127_steps_of_each_output_and_gradients_pass_through(net: Any) -> None:
    net.quantise = True
    w = net.weights["2"]
    with torch.no_grad():
        w[:, 5] = 0.0  # an output that nothing reaches
    with torch.no_grad():
        step = w.abs().amax(dim=0).clamp_min(1e-30) / 127
        steps = rounded(w) / step
        assert float((steps - steps.round()).abs().max()) < 1e-3
        assert float(((rounded(w) - w) / step).abs().max()) <= 0.501  # to the nearest step
    weight = torch.randn_like(w)
    (rounded(w) * weight).sum().backward()
    assert torch.equal(w.grad, weight)
    net.zero_grad()
    net(torch.from_numpy(_features(20))[:, None]).square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in net.parameters() if p is not net.speech)


def test_export_holds_names_shapes_and_facts(net: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    write_weights(configuration.load(None, tmp_path), _saved(net), path)
    with np.load(path) as w:
        assert w["layer_1/weights"].shape == (494, 48)
        assert w["lstm_fused_cell/kernel"].shape == (96, 192)
        assert w["layer_6/bias"].shape == (29,)
        assert w["label_priors"].sum() == pytest.approx(1)
        assert str(w["alphabet"]) == ALPHABET
        assert (int(w["sample_rate"]), float(w["mel_upper"]), float(w["forget_bias"])) == (16000, 8000.0, 1.0)
        assert all(w[name].dtype == np.float32 for name in w.files if "/" in name)


@pytest.mark.skipif(not lstm_cpu.available(64), reason="no AVX-512 BF16 or no C compiler here")
@pytest.mark.parametrize(("steps", "batch", "width"), [(1, 1, 128), (9, 7, 128), (20, 13, 144), (5, 33, 64)])
@pytest.mark.parametrize("flags", [[], ["-mno-amx-tile", "-mno-amx-bf16"]], ids=["all", "without AMX"])
def test_fast_lstm_equals_torchs_within_bfloat16(
    steps: int, batch: int, width: int, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lstm_cpu, "FLAGS", [*lstm_cpu.FLAGS, *flags])
    monkeypatch.setattr(lstm_cpu, "_library", functools.cache(lstm_cpu._library.__wrapped__))
    assert lstm_cpu.available(width)  # or torch's own would be compared with itself
    torch.manual_seed(1)
    net = Network(width, torch.zeros(26), torch.ones(26))
    x = torch.randn(steps, batch, width)
    weight = torch.randn(steps, batch, width)
    gradients = []
    for fast in (True, False):
        net.zero_grad()
        inputs = x.clone().requires_grad_()
        out = net._lstm(inputs.to(torch.bfloat16) if fast else inputs)
        (out.float() * weight).sum().backward()
        gradients.append([out.detach().float(), inputs.grad, net.kernel.grad.clone(), net.gate_bias.grad.clone()])
    for a, b in zip(*gradients, strict=True):
        assert float((a - b).norm() / b.norm()) < 0.02


def test_learning_rate_warms_up_holds_and_falls() -> None:
    settings = configuration.load(None, Path("."))["fit"]
    top, floor = settings["learning_rate"], settings["final_rate"]
    assert learning_rate(settings, 0.0, 0) < top / 50
    assert learning_rate(settings, settings["hold_share"] / 2, 1000) == pytest.approx(top)
    assert learning_rate(settings, 1.0, 1000) == pytest.approx(floor)


@pytest.fixture
def small(tmp_path: Path) -> configuration.Config:
    """A working directory with a little noise to learn, and a configuration to match."""
    config = configuration.load(None, tmp_path)
    config["network"]["width"] = 16
    config["fit"].update(minutes=0.05, sync_seconds=0.2)
    rng = np.random.default_rng(0)
    clips = [(rng.integers(-3000, 3000, 24000).astype(np.int16), "open", "espeak:en") for _ in range(30)]
    save_features(config.folder("features"), "synthetic-00000", clips)
    return config


def augmenter() -> Augmenter:
    """Without noises or rooms."""
    return Augmenter(Sounds([], []), torch.device("cpu"))


def test_batches_go_on_where_their_state_was_taken(small: configuration.Config) -> None:
    data = Data(small.folder("features"), ALPHABET)
    data.refresh()
    batches = Batches(data, small, 0, augmenter())
    for _ in range(3):
        batches.next(0.5)
    again = Batches(data, small, 0, augmenter())
    again.restore(batches.state())
    (first, *labels), (second, *same) = batches.next(0.5), again.next(0.5)
    for a, b in zip([*first[:3], *labels], [*second[:3], *same], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("consistency", [0.0, 0.2])
def test_a_batch_holds_each_clip_twice_where_consistency_counts(
    small: configuration.Config, consistency: float
) -> None:
    small["fit"].update(consistency=consistency, nothing=0.0, late=0.0)
    data = Data(small.folder("features"), ALPHABET)
    data.refresh()
    batches = Batches(data, small, 0, augmenter())
    batches.easy = False
    (features, lengths, *_), labels, counts = batches.next(1.0)
    assert features.shape[1] == len(lengths) == len(counts)
    assert len(labels) == counts.sum()
    halves = [half.tolist() for half in lengths.chunk(2)]
    if consistency == 0:
        assert halves[0] != halves[1]
        return
    assert halves[0] == halves[1]
    first, second = features.chunk(2, dim=1)
    assert not any(torch.equal(a, b) for a, b in zip(first.unbind(1), second.unbind(1), strict=True))
    assert torch.equal((first == 0).all(2), (second == 0).all(2))  # both are as long, and end where the other does


def test_two_clips_of_a_batch_are_one_recording(small: configuration.Config) -> None:
    data = Data(small.folder("features"), ALPHABET)
    data.refresh()
    drawn = {}
    for share in (0.0, 1.0):
        small["fit"].update(joined=share, late=0.0, nothing=0.0, consistency=0.0)
        batches = Batches(data, small, 0, augmenter())
        batches.easy = False
        drawn[share] = batches.next(1.0)
    ((alone, *_), _, one), ((pairs, lengths, *_), labels, two) = drawn[0.0], drawn[1.0]
    assert pairs.shape[1] == (alone.shape[1] + 1) // 2 == len(lengths)
    assert set(one.tolist()) == {4}
    assert two.tolist() == [9] * (alone.shape[1] // 2) + [4] * (alone.shape[1] % 2)
    assert "".join(ALPHABET[i] for i in labels[:9]) == "open open"
    assert int(lengths[0]) > 1.5 * alone.shape[0]


def test_rounded_weights_are_trained_with_their_own_settings(small: configuration.Config) -> None:
    small["fit"]["quantised"].update(consistency=0.2, learning_rate=2e-4)
    usual, rounded_too = (Trainer(small, Options(threads=1, quantise=q), 0, 1) for q in (False, True))
    assert (usual.batches.views, rounded_too.batches.views) == (1, 2)
    assert (usual.settings["learning_rate"], rounded_too.settings["learning_rate"]) == (1e-3, 2e-4)


def test_divergence_is_that_of_each_half_from_the_other_and_pulls_them_together() -> None:
    torch.manual_seed(5)
    logits = torch.randn(7, 6, 29)
    logits[:, 3:] = logits[:, :3]
    valid = torch.ones(7, 6, dtype=torch.bool)
    same = torch.log_softmax(logits, dim=2)
    assert float(divergence(same, valid)) == pytest.approx(0, abs=1e-5)
    valid[5:, [1, 4]] = False
    logits = torch.randn(7, 6, 29, requires_grad=True)
    log_p = torch.log_softmax(logits, dim=2)
    found = divergence(log_p, valid)
    p = log_p.detach().exp().double().numpy()
    q = np.roll(p, 3, axis=1)
    each = (q * np.log(q / p)).sum(axis=2)
    assert float(found.detach()) == pytest.approx(each[valid.numpy()].sum(), rel=1e-5)
    found.backward()
    np.testing.assert_allclose(logits.grad.numpy(), np.where(valid.numpy()[..., None], p - q, 0), atol=1e-6)


def test_fit_leaves_a_checkpoint_and_an_export_and_resumes(small: configuration.Config) -> None:
    fit(small, Options(threads=1))
    first = torch.load(small.work / "checkpoints" / "last.pt", weights_only=False)
    assert (small.work / "export" / "weights.npz").exists()
    small["fit"]["minutes"] = 0.1
    fit(small, Options(threads=1))
    second = torch.load(small.work / "checkpoints" / "last.pt", weights_only=False)
    assert second["step"] > first["step"] > 0


def test_a_training_goes_on_with_rounded_weights_only_where_it_began_so(small: configuration.Config) -> None:
    fit(small, Options(threads=1))
    with pytest.raises(ValueError, match=r"last.pt was trained without --quantise; to go on without it, or to start"):
        fit(small, Options(threads=1, quantise=True))
    small["fit"]["quantised"]["minutes"] = 0.05
    init = small.work / "export" / "weights.npz"
    fit(small, Options(threads=1, fresh=True, init=init, quantise=True))
    exported = import_npz(init).arrays["layer_5/weights"]
    steps = exported / (np.abs(exported).max(axis=0) / 127)
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    with pytest.raises(ValueError, match=r"last.pt was trained with --quantise; to go on with it, or to start"):
        fit(small, Options(threads=1))


def test_the_teacher_may_be_wider_than_the_network(small: configuration.Config) -> None:
    wide = Trainer(small, Options(threads=1), 0, 1)
    model = small.work / "wide.npz"
    write_weights(small, _saved(wide.net), model)
    small["network"]["width"] = wide.net.width // 2
    narrow = Trainer(small, Options(threads=1, teacher=model), 0, 1)
    assert narrow.teacher is not None and narrow.teacher.width == 2 * narrow.net.width
    clean = torch.randn(9, 2, 26)
    with torch.no_grad():
        log_p = torch.log_softmax(narrow.teacher(clean).float(), dim=2)
    valid = torch.ones(9, 2, dtype=torch.bool)
    assert float(narrow._taught(clean, log_p, valid)) == pytest.approx(0, abs=1e-3)
    assert float(narrow._taught(clean, log_p.roll(1, 2), valid)) > 0.1


def test_a_training_from_a_model_hears_all_the_augmentation_from_the_start(small: configuration.Config) -> None:
    new = Trainer(small, Options(threads=1), 0, 1)
    assert new._hard() == 0.0
    new.loss = 0.5
    new._end_easy()
    assert 0.0 < new._hard() < small["fit"]["hard"]
    model = small.work / "model.npz"
    write_weights(small, _saved(new.net), model)
    onward = Trainer(small, Options(threads=1, init=model), 0, 1)
    onward.loss = 0.5
    onward._end_easy()
    assert onward._hard() == small["fit"]["hard"]


def running(process: str) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_training_that_is_told_to_end_takes_its_processes_with_it(small: configuration.Config) -> None:
    settings = configuration.DEFAULT.read_text(encoding="utf-8").replace("width = 768", "width = 16")
    (small.work / "config.toml").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "pynna.train", "--config", str(small.work / "config.toml"), "--work",
               str(small.work), "fit", "--threads", "1", "--device", "cpu"]  # fmt: skip
    # not where the sources lie: they would be imported in place of what is installed
    training = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=small.work)
    try:
        for _ in range(600):
            if (small.work / "fit.tsv").exists():  # the process that trains has opened it
                break
            assert training.poll() is None
            time.sleep(0.1)
        processes = Path(f"/proc/{training.pid}/task/{training.pid}/children").read_text().split()
        assert any(running(process) for process in processes)
        training.terminate()
        assert training.wait(30) == 128 + signal.SIGTERM
        for _ in range(300):
            if not any(running(process) for process in processes):
                break
            time.sleep(0.1)
        assert not any(running(process) for process in processes)
    finally:
        training.kill()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named(small: configuration.Config) -> None:
    with pytest.raises(ValueError, match="device 'cuda' is not to be had here"):
        fit(small, Options(threads=1, device="cuda"))


def test_blending_is_the_weighted_average_of_two_exports(net: Any, tmp_path: Path) -> None:
    paths = [tmp_path / "first.npz", tmp_path / "second.npz"]
    for path in paths:
        write_weights(configuration.load(None, tmp_path), _saved(net), path)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(-3.0)
    first, second = (dict(np.load(path)) for path in paths)
    average(paths[0], paths[1], 0.25)
    with np.load(paths[0]) as blended:
        assert set(blended) == set(first)
        for name in ("layer_1/weights", "lstm_fused_cell/bias", "label_priors"):
            np.testing.assert_allclose(blended[name], 0.75 * first[name] + 0.25 * second[name], rtol=1e-5, atol=1e-6)
        assert blended["forget_bias"] == first["forget_bias"]
    average(paths[0], paths[1], 0.25, quantise=True)
    rounded_path = tmp_path / "model.nna"
    map_model(paths[0], rounded_path, report=False)
    with np.load(paths[0]) as blended:
        for name in ("layer_2/weights", "layer_6/weights", "lstm_fused_cell/kernel"):
            np.testing.assert_allclose(dequantise(rounded_path).arrays[name], blended[name], atol=1e-5)
    write_weights(configuration.load(None, tmp_path), _saved(Network(16, net.mean, net.std)), paths[1])
    with pytest.raises(ValueError, match=r"second.npz: layer_1/weights is not \[494, 48\]"):
        average(paths[0], paths[1], 0.25)
