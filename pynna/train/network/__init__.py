# SPDX-License-Identifier: Apache-2.0
"""The network in PyTorch: augmentation, training, export."""
