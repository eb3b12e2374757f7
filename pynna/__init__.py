"""LSTM speech recognition the way a neural network accelerator does it."""
