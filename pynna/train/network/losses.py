# SPDX-License-Identifier: Apache-2.0
"""What is added to the CTC loss: the two views' divergence, and the detection of speech."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


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
