# SPDX-License-Identifier: Apache-2.0
"""Training of DeepSpeech-topology networks on synthetic and real speech: ``python -m pynna.train --help``."""
