"""A model that was trained elsewhere to a checkpoint folder.

Of mace-torch: what its training or its authors saved (.model); of AIMNet2 the
file of tensors and settings (.pt, format 2). The folder is a potential:
featurizers, calculators and recipes take its name as they take a bundled one,
and nothing in it is unpickled. Of the authors of REM3DI: a model directory
(encoder.pth and others), over its MACE converted before.
"""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = "skmol3d convert MACE-OFF23_medium.model mace-off --trust-pickle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("source", type=Path, help="file or folder of the model")
    parser.add_argument("folder", type=Path, help="where the checkpoint goes; one already there is replaced")
    parser.add_argument("--backbone", metavar="DIR", help="REM3DI: the checkpoint of its MACE")
    parser.add_argument(
        "--layers",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="MACE: layers to hand out (default: all)",
    )
    parser.add_argument("--head", help="MACE with several heads: the one whose energies count")
    parser.add_argument(
        "--trust-pickle",
        action="store_true",
        help="unpickle the file: this runs whatever code its author put there, with your rights; only for "
        "files from people you trust",
    )


def run(args: argparse.Namespace) -> None:
    """Convert and say what has come of it."""
    from skmol3d.hub import convert, from_pretrained

    folder = convert(
        args.source,
        args.folder,
        backbone=args.backbone,
        layers=args.layers,
        head=args.head,
        trust_pickle=args.trust_pickle,
    )
    made: Any = from_pretrained(folder)
    columns = ", ".join(f"{name} {size}" for name, size in made.output_blocks().items())
    print(f"{folder}: {made.name} ({columns}) of {len(made.elements)} elements")
