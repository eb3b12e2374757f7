# SPDX-License-Identifier: Apache-2.0
"""``python -m pynna`` is the command ``pynna``."""

import sys

from pynna.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
