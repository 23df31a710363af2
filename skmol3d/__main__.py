"""``python -m skmol3d``, where the command ``skmol3d`` is not on the path."""

import sys

from skmol3d.cli import main

if __name__ == "__main__":
    sys.exit(main())
