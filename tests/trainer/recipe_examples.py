"""Tiny recipes on the data of `data_root`, and the command that trains them."""

import argparse

import yaml

from skmol3d.trainer import pretrain

BACKBONE = {"kind": "equivariant-transformer", "width": 8, "layers": 1, "heads": 2, "radial": 6}
SCHEDULE = {"steps": 6, "learning_rate": 1.0e-3, "warmup": 2, "ema": 0.5}
POTENTIAL = {
    "kind": "potential",
    "name": "tiny-potential",
    "seed": 0,
    "initial": None,
    "data": {"labels.npz": 1.0},
    "held_out": 0.2,
    "test": [],
    "atoms": 80,
    "model": {"backbone": BACKBONE},
    "weights": {"forces": 1.0, "energy": 0.5, "charges": 1.0, "dipole": 0.3, "homo": 0.3, "lumo": 0.3},
    "schedule": SCHEDULE,
}
ENCODER = {
    "kind": "rem3di",
    "name": "tiny-rem3di",
    "seed": 0,
    "potential": "tiny-potential",
    "initial": None,
    "data": [
        {"path": "labels.npz", "targets": "targets.npz", "share": 0.5},
        {"path": "corpus", "share": 0.5},
    ],
    "online": None,
    "held_out": 0.2,
    "atoms": 80,
    "targets": {"classes": [8, 8], "bits": 16},
    "masked": 0.15,
    "probe": {"sets": "probe", "every": 3},
    "model": {
        "width": 8,
        "layers": 1,
        "heads": 2,
        "pair_width": 4,
        "radial": 6,
        "readout": 12,
        "chiral": 4,
        "words": {"columns": [8, 6], "signed": [4], "folded": 5},
        "dense": 8,
        "properties": 5,
        "surface": True,
        "strain": True,
    },
    "weights": {
        "denoising": 0.3,
        "environments": 0.5,
        "descriptors": 1.0,
        "fingerprint": 1.0,
        "electronic": 0.2,
        "handedness": 0.2,
        "substructures": 0.5,
        "distances": 0.1,
        "angles": 0.1,
        "dihedrals": 0.1,
        "variance": 0.5,
        "covariance": 0.5,
    },
    "schedule": SCHEDULE,
}


def write(recipe, path):
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return str(path)


def run(recipe, data_root, out, *options):
    """``skmol3d pretrain`` in this process; a dict is written to a file first."""
    if isinstance(recipe, dict):
        recipe = write(recipe, out / f"{recipe['name']}.yaml")
    parser = argparse.ArgumentParser()
    pretrain.add_arguments(parser)
    pretrain.run(
        parser.parse_args([recipe, "--data", str(data_root), "--out", str(out), "--device", "cpu", *options])
    )
