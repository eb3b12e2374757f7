"""Training of DeepSpeech-topology networks on synthetic and real speech: ``python -m pynna.train --help``."""
