"""From log-probabilities to text: options, decoders, language models, results."""
