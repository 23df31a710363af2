"""Damaged files of every format that `skmol3d.structures.reading` knows, and what must hold for them."""

import gzip
import io
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor

from skmol3d.structures import StructureError, read_molecule, read_records
from skmol3d.structures.reading import FORMATS

SEEDS = ("CCO", "c1ccccc1", "CC(=O)[O-].[Na+]", "C[C@H](N)C(=O)O |o1:1|", "FC(F)(F)c1ccncc1", "C#N", "[NH4+]")
NOTES = ("plain", "Ångström", "β-form", '"quoted"', "a,b", "two\nlines", "", "<tag>", "$$$$", "M  END", "12")
PIECES = (
    *(b"\x00", b"\xff\xfe", b"\xc3", b"\xe2\x82", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80", b"\x1f\x8b", b"PAR1"),
    *(b"\r", b"\n", b"\n\n", b"\t", b",", b'"', b"|", b"$$$$\n", b"M  END\n", b"> <x>\n", b"V3000"),
    *(b"999999999999", b"-1", b"nan", b"1e999", b"Properties=species:S:1:pos:R:99999999 ", b'Lattice="'),
)


def whole_file(format: str, rng: np.random.Generator, count: int = 6) -> bytes:
    """A valid file of `count` records."""
    smiles = [SEEDS[i] for i in rng.integers(len(SEEDS), size=count)]
    notes = [NOTES[i] for i in rng.integers(len(NOTES), size=count)]
    if format == "smi":
        return "".join(f"{s} {' '.join(n.split())}\n" for s, n in zip(smiles, notes, strict=True)).encode()
    if format in ("csv", "tsv", "parquet"):
        import pandas as pd

        frame = pd.DataFrame({"id": range(count), "smiles": smiles, "note": notes})
        if format == "parquet":
            stream = io.BytesIO()
            frame.to_parquet(stream)
            return stream.getvalue()
        return frame.to_csv(index=False, sep="\t" if format == "tsv" else ",").encode()
    return "".join(_geometry(format, s, n) for s, n in zip(smiles, notes, strict=True)).encode()


def _geometry(format: str, smiles: str, note: str) -> str:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles.split()[0]))
    rdDepictor.Compute2DCoords(mol)
    if format in ("sdf", "mol"):
        return f"{Chem.MolToMolBlock(mol, forceV3000=note == 'plain')}> <note>\n{note}\n\n$$$$\n"
    lines = Chem.MolToXYZBlock(mol).splitlines()
    comment = {"plain": "Properties=species:S:1:pos:R:3 charge=1", "12": "12"}.get(note, f"note={note[:3]!r}")
    return "\n".join([lines[0], comment.replace("\n", " "), *lines[2:], ""])


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes replaced, inserted, removed, repeated, exchanged or cut off in a few places."""
    found = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        start = int(rng.integers(len(found) + 1))
        stop = min(start + int(rng.integers(1, 60)), len(found))
        kind = rng.integers(7)
        if kind == 0:
            found[start : start + 1] = bytes([rng.integers(256)])
        elif kind == 1:
            found[start:start] = PIECES[rng.integers(len(PIECES))]
        elif kind == 2:
            del found[start:stop]
        elif kind == 3:
            found[start:start] = found[start:stop] * int(rng.integers(1, 20))
        elif kind == 4:
            found[start:stop] = PIECES[rng.integers(len(PIECES))]
        elif kind == 5:
            there = int(rng.integers(len(found) + 1))
            found[there:there] = found[start:stop]
        elif rng.random() < 0.3:
            del found[start:]
    return bytes(found)


def damaged_files(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield `count` pairs of format and content, the same ones again for the same seed; some are packed."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        format = FORMATS[i % len(FORMATS)]
        data = whole_file(format, rng)
        packing = rng.integers(6)
        if packing == 0:  # damage inside, then packed
            data = gzip.compress(damaged(data, rng))
        elif packing == 1:
            data = damaged(gzip.compress(data), rng)
        else:
            data = damaged(data, rng)
        yield format, data


def outcome(format: str, data: bytes) -> list[str]:
    """What became of a file: "molecule" or the reason, record by record, or why there are no records.

    Raises
    ------
    Exception
        Whatever is no `StructureError` of a record, and no `ValueError` of the file as a whole.
    """
    try:
        records = read_records(io.BytesIO(data), format=format)
    except ValueError as error:
        return [f"file: {error}"]
    found = []
    for index, record in enumerate(records):
        assert record.index == index
        try:
            read_molecule(record.structure)
            found.append("molecule")
        except StructureError as error:
            found.append(str(error))
    return found


def run(count: int, seed: int) -> list[str]:
    """Read `count` damaged files, print counts by outcome, and return what was wrong."""
    cases = ((format, lambda f=format, d=data: outcome(f, d)) for format, data in damaged_files(count, seed))
    return judge("damaged files", cases)


def judge(what: str, cases: Iterable[tuple[str, Callable[[], list[str]]]], slowest: float = 5.0) -> list[str]:
    """Read all cases, each a name and a call that gives outcomes; print their counts, return what was wrong.

    Wrong are errors that escape, more than `slowest` seconds of CPU time, and reasons that are empty, long
    or of several lines.
    """
    wrong, tally, longest, count = [], Counter[str](), 0.0, 0
    start = time.process_time()
    for i, (name, read) in enumerate(cases):
        count += 1
        begun = time.process_time()
        try:
            with rdBase.BlockLogs():
                found = read()
        except Exception as error:
            wrong.append(f"{i} ({name}): {type(error).__name__}: {error}")
            continue
        seconds = time.process_time() - begun
        longest = max(longest, seconds)
        if seconds > slowest:
            wrong.append(f"{i} ({name}): {seconds:.1f} s")
        bad = [reason for reason in found if not reason or "\n" in reason or len(reason) > 450]
        wrong += [f"{i} ({name}): reason {reason!r:.200}" for reason in bad]
        tally.update(
            text if text in ("molecule", "crystal") else "file" if text.startswith("file: ") else "reason"
            for text in found
        )
    print(
        f"{count} {what} in {time.process_time() - start:.0f} s of CPU time, the slowest {longest:.2f} s: "
        f"{tally['molecule'] + tally['crystal']} read, {tally['reason']} refused with a reason, "
        f"{tally['file']} files refused as a whole"
    )
    return wrong
