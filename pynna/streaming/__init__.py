"""From audio to results as it comes in: channels, streams, listeners, rescoring."""
