"""Models trained elsewhere as checkpoint folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols
from torch import nn

from skmol3d.files import file_hash
from skmol3d.hub.conversion.aimnet2 import read_aimnet2
from skmol3d.hub.conversion.mace import read_mace
from skmol3d.hub.conversion.rem3di import ENCODER, read_rem3di
from skmol3d.hub.conversion.source import load_pickle, load_tensors
from skmol3d.hub.folder import CheckpointError, save_pretrained

D_BLOCK = (*range(21, 31), *range(39, 49), *range(72, 81))

CARD = """\
---
library_name: skmol3d
license: other
pipeline_tag: feature-extraction
tags:
- chemistry
- molecules
- {name}
---

# {title}

Converted by `skmol3d convert` from `{source}` (SHA-256 {sha256}). Nothing was trained: what it is good for,
its licence and how to cite it are those of its source. Weights are float32 here, whatever they were.

**Elements.** {elements}. Transition metals: {metals}.
"""


def convert(
    source: str | Path,
    folder: str | Path,
    *,
    backbone: str | Path | None = None,
    layers: Sequence[int] = (),
    head: str | None = None,
    trust_pickle: bool = False,
) -> Path:
    """Write a model that was trained elsewhere as a checkpoint folder.

    A MACE of mace-torch (a pickle) and an AIMNet2 (``.pt`` of tensors and settings, format 2) become a
    `skmol3d.encoders.Potential`, which featurizers, calculators and
    recipes take by the folder's name; nothing is ever unpickled from there again. A folder with a REM3DI of
    its authors (``encoder.pth`` and others, tensors alone) becomes an encoder for `REM3DIFeaturizer`.

    Parameters
    ----------
    source : path
        File or folder.
    folder : path
        Created if needed; a checkpoint already there is replaced.
    backbone : path or str, optional
        For a REM3DI: the checkpoint of its MACE, converted before; all of its layers.
    layers : sequence of int, optional
        For a MACE: layers whose features are handed out, from 0; all by default.
    head : str, optional
        For a MACE with several heads: the one whose energies count.
    trust_pickle : bool, default=False
        Allow to unpickle ``source``. A pickle runs whatever code its author put there, with your rights:
        say so only of files from people you trust, fetched from where they publish them.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CheckpointError
        The source is none of these or has not what an option asks for, is a pickle and `trust_pickle` was
        not given, or cannot be converted without loss; the message names it.
    ImportError
        Without the package the model needs (``skmol3d[mace]``, ``skmol3d[aimnet2]``).
    """
    source = Path(source)
    if source.is_dir():
        if not (source / ENCODER).is_file():
            raise CheckpointError(f"{source}: a folder without {ENCODER}, and so no REM3DI of its authors")
        _refuse(source, "a REM3DI", layers=layers, head=head)
        if backbone is None:
            raise CheckpointError(f"{source}: a REM3DI needs backbone=, the converted checkpoint of its MACE")
        return _save(read_rem3di(source, backbone), source / ENCODER, folder, f"REM3DI of {source.name}")
    content = load_tensors(source)
    if content is not None:
        _refuse(source, "an AIMNet2", backbone=backbone, layers=layers, head=head)
        return _save(read_aimnet2(source, content), source, folder, f"AIMNet2 of {source.name}")
    _refuse(source, "a MACE", backbone=backbone)
    content = load_pickle(source, trust_pickle)
    return _save(read_mace(source, content, layers, head), source, folder, f"MACE of {source.name}")


def _refuse(source: Path, kind: str, **options: Any) -> None:
    given = [f"{name}=" for name, value in options.items() if value]
    if given:
        raise CheckpointError(f"{source}: {kind} has no {', '.join(given)}")


def _save(encoder: nn.Module, source: Path, folder: str | Path, title: str) -> Path:
    made: Any = encoder
    metals = [chemical_symbols[z] for z in made.elements if z in D_BLOCK]
    card = CARD.format(
        name=made.name,
        title=title,
        source=source.name,
        sha256=file_hash(source),
        elements=", ".join(chemical_symbols[z] for z in made.elements),
        metals=f"{len(metals)} of {len(D_BLOCK)} ({', '.join(metals)})" if metals else "none",
    )
    return save_pretrained(encoder, folder, card)
