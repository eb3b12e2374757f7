"""Sentences to speak, and what language models learn from."""
