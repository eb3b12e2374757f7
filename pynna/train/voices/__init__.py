"""Free speech synthesisers, and accents."""
