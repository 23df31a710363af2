"""``python -m skmol3d.cli``."""

import sys

from skmol3d.cli import main

sys.exit(main())
