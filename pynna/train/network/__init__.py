"""The network in PyTorch: augmentation, training, export."""
