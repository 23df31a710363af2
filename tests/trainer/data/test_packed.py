"""The packed folder: round trip, nothing read ahead, damage told."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from set_examples import random_set

from skmol3d.trainer.data.packed import read_packed, write_packed
from skmol3d.trainer.data.positions import integer_positions
from skmol3d.trainer.data.sets import Row, stack


def bonded_set(sizes, seed=0):
    """A chain of bonds in every conformer; a single atom has none."""
    data = random_set(sizes, seed=seed)
    data.bonds = np.concatenate([np.arange(n - 1)[:, None] + [0, 1] for n in sizes]).astype(np.int16)
    data.bond_offsets = np.concatenate([[0], np.cumsum(np.array(sizes) - 1)])
    data.molecule_targets["dipole"] = np.random.default_rng(seed).normal(size=(len(sizes), 3))
    data.molecule_targets["log D / pH 7.4"] = np.arange(len(sizes))
    data.charge = data.charge.astype(np.float32)
    return data


def assert_same(one, other):
    for name in ("numbers", "positions", "offsets", "charge", "group", "bonds", "bond_offsets"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    for targets in ("atom_targets", "molecule_targets"):
        assert getattr(one, targets).keys() == getattr(other, targets).keys()
        for name, values in getattr(one, targets).items():
            np.testing.assert_array_equal(values, getattr(other, targets)[name], strict=True)


def test_round_trip(tmp_path):
    data = bonded_set([3, 1, 5, 2])
    assert write_packed(tmp_path / "set", data) == tmp_path / "set"
    back = read_packed(tmp_path / "set")
    assert_same(data, back)
    index = np.array([2, 1, 0])
    (batch, targets), (expected, expected_targets) = back.batch(index), data.batch(index)
    for name in ("numbers", "positions", "counts", "charge", "bonds"):
        assert torch.equal(getattr(batch, name), getattr(expected, name))
    assert batch.bonds.T.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4], [6, 7], [7, 8]]
    assert all(torch.equal(targets[k], v) for k, v in expected_targets.items())
    assert [f.name for f in tmp_path.iterdir()] == ["set"]


def test_a_packed_set_can_be_written_again(tmp_path):
    data = bonded_set([3, 4])
    write_packed(tmp_path / "one", data)
    write_packed(tmp_path / "two", read_packed(tmp_path / "one"))
    assert_same(read_packed(tmp_path / "two"), data)


def test_positions_in_single_precision_and_no_bonds(tmp_path):
    data = random_set([4, 2])
    data.positions = (data.positions * 1e-3 + 1e-5).astype(np.float32)
    write_packed(tmp_path / "set", data)
    back = read_packed(tmp_path / "set")
    batch, _ = back.batch(np.array([1]))
    assert torch.equal(batch.positions, torch.from_numpy(data.positions[4:]))
    assert batch.bonds is None


def test_nothing_is_read_ahead(tmp_path):
    write_packed(tmp_path / "set", bonded_set([3, 1, 5, 2]))
    data = read_packed(tmp_path / "set")
    arrays = [data.numbers, data.positions, data.offsets, data.charge, data.group, data.bonds]
    arrays += [data.bond_offsets, *data.atom_targets.values(), *data.molecule_targets.values()]
    assert len(arrays) == 12
    for values in arrays:
        assert isinstance(values, np.memmap)
        assert not values.flags.writeable
    batch, targets = data.batch(np.array([0, 3]))
    # What goes to the model is its own.
    batch.positions.add_(1)
    targets["label"].add_(1)


RESIDENT = """
import os, sys
import numpy as np
from skmol3d.trainer.data.packed import read_packed
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = resident()
data = read_packed(sys.argv[1])
data.batch(np.arange(3))
print(resident() - before, sum(v.nbytes for v in data.atom_targets.values()))
assert "rdkit" not in sys.modules
"""


@pytest.mark.slow
def test_memory_stays_small_and_rdkit_out(tmp_path):
    data = random_set([1000] * 100)
    data.atom_targets = {"label": np.ones((100_000, 100))}
    write_packed(tmp_path / "set", data)
    command = [sys.executable, "-c", RESIDENT, str(tmp_path / "set")]
    grown, size = map(int, subprocess.run(command, check=True, capture_output=True).stdout.split())
    assert size == 80_000_000
    assert grown < 30_000_000  # three of a hundred conformers, and pages around them


def test_parts_follow_each_other(tmp_path):
    parts = [bonded_set([3, 1], 0), bonded_set([1], 1), bonded_set([2, 6, 4], 2)]
    write_packed(tmp_path / "set", iter(parts))
    back = read_packed(tmp_path / "set")
    assert len(back) == 6
    for start, part in zip([0, 2, 3], parts, strict=True):
        index = np.arange(len(part))
        (batch, targets), (expected, expected_targets) = back.batch(index + start), part.batch(index)
        assert torch.equal(batch.positions, expected.positions)
        assert torch.equal(batch.bonds, expected.bonds)
        assert all(torch.equal(targets[k], v) for k, v in expected_targets.items())


def test_stack_of_rows():
    rows = [
        Row(
            numbers=np.array([8, 1, 1][:n]),
            positions=integer_positions(np.eye(3)[:n]),
            charge=n - 3,
            group=7,
            atom_targets={"forces": np.full((n, 3), n)},
            molecule_targets={"energy": -1.5 * n, "dipole": np.arange(3.0)},
            bonds=np.array([[0, 1], [0, 2]])[: n - 1],
        )
        for n in (3, 2)
    ]
    data = stack(rows)
    batch, targets = data.batch(np.array([0, 1]))
    assert batch.bonds.T.tolist() == [[0, 1], [0, 2], [3, 4]]
    assert batch.charge.tolist() == [0, -1]
    assert targets["energy"].tolist() == [-4.5, -3]
    assert targets["forces"][:, 0].tolist() == [3, 3, 3, 2, 2]
    np.testing.assert_allclose(torch.pdist(batch.positions[:3]), 2**0.5, atol=1e-3)
    assert stack([rows[0], replace(rows[1], bonds=None)]).bonds is None


def truncate(folder):
    path = folder / "positions.npy"
    path.write_bytes(path.read_bytes()[:-10])


def cut_header(folder):
    (folder / "group.npy").write_bytes(b"\x93NUMPY")


def replace_by_shorter(folder):
    np.save(folder / "atom.charges.npy", np.zeros(5, np.float16))


def scramble_offsets(folder):
    offsets = np.load(folder / "offsets.npy")
    offsets[[1, 2]] = offsets[[2, 1]]
    np.save(folder / "offsets.npy", offsets)


def shorten_consistently(folder):
    index = json.loads((folder / "packed.json").read_text())
    index["arrays"]["charge"]["shape"] = [3]
    (folder / "packed.json").write_text(json.dumps(index))
    np.save(folder / "charge.npy", np.zeros(3, np.float32))


def forget(name):
    def damage(folder):
        index = json.loads((folder / "packed.json").read_text())
        del index["arrays"][name]
        (folder / "packed.json").write_text(json.dumps(index))

    return damage


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (truncate, ValueError, r"positions\.npy: cut short"),
        (cut_header, ValueError, r"group\.npy: cut short"),
        (replace_by_shorter, ValueError, r"atom\.charges\.npy: .*\[5\].* but packed\.json says"),
        (scramble_offsets, ValueError, r"set: offsets do not ascend from 0 to 11"),
        (shorten_consistently, ValueError, "charge has 3 rows, but there are 4 conformers with 11 atoms"),
        (forget("numbers"), ValueError, r"packed\.json: lists no numbers"),
        (forget("bond_offsets"), ValueError, r"packed\.json: lists no bonds, bond_offsets"),
        (lambda f: (f / "numbers.npy").unlink(), FileNotFoundError, r"numbers\.npy: listed in packed\.json"),
        (lambda f: (f / "packed.json").unlink(), FileNotFoundError, r"set: no packed\.json"),
        (lambda f: (f / "packed.json").write_text("{"), ValueError, r"packed\.json: not JSON"),
        (lambda f: (f / "packed.json").write_text("{}"), ValueError, "not skmol3d-packed version 1"),
    ],
)
def test_damage_is_told(damage, error, message, tmp_path):
    write_packed(tmp_path / "set", bonded_set([3, 1, 5, 2]))
    damage(tmp_path / "set")
    with pytest.raises(error, match=message):
        read_packed(tmp_path / "set")


def test_what_cannot_be_written(tmp_path):
    good = bonded_set([3, 2])
    write_packed(tmp_path / "set", good)
    with pytest.raises(FileExistsError, match="set exists already"):
        write_packed(tmp_path / "set", good)
    with pytest.raises(ValueError, match="no conformers to write"):
        write_packed(tmp_path / "empty", [])
    short = bonded_set([3, 2])
    short.atom_targets["charges"] = short.atom_targets["charges"][1:]
    with pytest.raises(ValueError, match=r"part 0: atom\.charges has 4 rows"):
        write_packed(tmp_path / "short", short)
    other = bonded_set([3, 2])
    del other.molecule_targets["energy"]
    with pytest.raises(ValueError, match=r"part 1: molecule\.energy in some parts only"):
        write_packed(tmp_path / "other", [good, other])
    wide = bonded_set([3, 2])
    wide.positions = wide.positions.astype(np.float64)
    with pytest.raises(ValueError, match="positions are float64, not int16 or float32"):
        write_packed(tmp_path / "wide", wide)
    words = bonded_set([3, 2])
    words.molecule_targets["energy"] = np.array(["a", "b"])
    with pytest.raises(ValueError, match=r"molecule\.energy holds <U1, not numbers"):
        write_packed(tmp_path / "words", words)
    assert not [f for f in tmp_path.iterdir() if f.suffix != ".partial" and f.name != "set"]


def test_a_killed_write_is_begun_again(tmp_path):
    (tmp_path / "set.partial").mkdir()
    (tmp_path / "set.partial" / "numbers.npy").write_bytes(b"half")
    (tmp_path / "set.partial" / "left.npy").write_bytes(b"over")
    data = bonded_set([3, 2])
    write_packed(tmp_path / "set", data)
    assert_same(read_packed(tmp_path / "set"), data)
    assert [f.name for f in tmp_path.iterdir()] == ["set"]
    assert not (tmp_path / "set" / "left.npy").exists()
