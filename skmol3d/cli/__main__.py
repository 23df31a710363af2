"""``python -m skmol3d.cli``."""

import sys

from skmol3d.cli import main

if __name__ == "__main__":
    sys.exit(main())
