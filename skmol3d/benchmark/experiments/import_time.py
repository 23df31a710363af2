"""What it costs to import the package, in new interpreters.

``python -m skmol3d.benchmark.experiments.import_time [--n 5]``

Prints a row per statement: the median of the seconds, without the start of the interpreter, and the
large libraries that it loads. `import skmol3d` loads none: if it does, the exit status is 1.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from statistics import median

from skmol3d.benchmark.report import markdown

LARGE = ("ase", "huggingface_hub", "lightning", "numpy", "pandas", "rdkit", "scipy", "sklearn", "torch")
PACKAGE = "import skmol3d"
STATEMENTS = (
    PACKAGE,
    "import skmol3d.cli",
    "from skmol3d import ECFPFeaturizer",
    "from skmol3d import REM3DIFeaturizer",
)
CHILD = """
import json, sys, time
start = time.perf_counter()
exec(sys.argv[1])
seconds = time.perf_counter() - start
print(json.dumps([seconds, [name for name in sys.argv[2:] if name in sys.modules]]))
"""


def measure(statement: str, count: int) -> tuple[float, list[str]]:
    """Median seconds of a statement in ``count`` new interpreters, and the `LARGE` libraries it loads."""
    command = [sys.executable, "-c", CHILD, statement, *LARGE]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(count)
    ]
    return median(seconds for seconds, _ in found), found[0][1]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if the package alone loads a large library."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=5, help="interpreters per statement (default: 5)")
    args = parser.parse_args(argv)
    loaded: dict[str, list[str]] = {}
    rows = []
    for statement in STATEMENTS:
        seconds, loaded[statement] = measure(statement, args.n)
        rows.append([f"`{statement}`", f"{seconds:.3f}", ", ".join(loaded[statement]) or "none"])
    print(markdown(rows, ["statement", "seconds", "large libraries"]))
    return 1 if loaded[PACKAGE] else 0


if __name__ == "__main__":
    sys.exit(main())
