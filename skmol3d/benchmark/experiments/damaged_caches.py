"""Cache files damaged in every way: ``python -m skmol3d.benchmark.experiments.damaged_caches [--n 1000]``.

A file of 200 values is cut off, or has bytes or pages of it replaced or removed, anywhere or in the header.
What is read from it must be as stored, or missing, or refused with `CacheError`; so after another write.
Exits with status 1 if not.
"""

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from skmol3d.structures.storage import CacheError, Disk

PAGE = 4096
VALUES = {i.to_bytes(32, "big"): bytes([i]) * 800 for i in range(200)}
MORE = {i.to_bytes(32, "big"): bytes([i]) * 800 for i in range(200, 210)}


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The file, cut off, or with a few bytes or a page of it replaced or removed."""
    found = bytearray(data)
    start = rng.randrange(len(found))
    kind = rng.randrange(5)
    if kind == 0:
        del found[start:]
    elif kind == 1:
        found[start : start + PAGE] = rng.randbytes(min(PAGE, len(found) - start))
    elif kind == 2:
        del found[start : start + rng.randrange(PAGE)]
    else:
        for _ in range(rng.randrange(1, 5)):
            found[rng.randrange(len(found) if kind == 3 else 200)] = rng.randrange(256)
    return bytes(found)


def outcome(disk: Disk) -> str:
    """What became of a damaged file."""
    known = VALUES | MORE
    try:
        found = disk.get(known)
        disk.put(MORE)
        again = disk.get(known)
    except CacheError:
        return "refused"
    if any(known[key] != value for part in (found, again) for key, value in part.items()):
        return "WRONG"
    return "complete" if again == known else "incomplete"


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=1000, help="damaged files (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rng = random.Random(args.seed)
    tally = Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        whole = Disk(Path(name) / "whole", "things")
        whole.put(VALUES)
        data = whole.path.read_bytes()
        for i in range(args.n):
            disk = Disk(Path(name) / str(i), "things")
            disk.path.parent.mkdir()
            disk.path.write_bytes(damaged(data, rng))
            tally[outcome(disk)] += 1
            disk.path.unlink()
    print(f"{args.n} damaged cache files: {', '.join(f'{n} {what}' for what, n in tally.most_common())}")
    return int(tally["WRONG"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
