"""AIMNet2 (aimnet) as a backbone: its last hidden layer as invariants, and the energies of its own."""

from __future__ import annotations

import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, ClassVar

import torch
from torch import nn

from skmol3d.encoders.atoms import AtomBatch, AtomFeatures, check_known, full_precision
from skmol3d.encoders.config import check_elements
from skmol3d.encoders.periodic import PeriodicBatch


@dataclass(frozen=True)
class AIMNet2Config:
    """What a file of AIMNet2 says beside its weights.

    Attributes
    ----------
    architecture : str
        ``model_yaml``: modules of aimnet and their sizes. None but those that aimnet itself lists as safe to
        name in a file are built.
    elements : tuple of int
        ``implemented_species``.
    features : int
        Size of the last hidden layer, ``aim_size``.
    coulomb : bool
        Whether a Coulomb energy of its charges is added to its own.
    coulomb_embedded : bool
        Whether the short-range part of it has been taken off inside.
    coulomb_range : float
        Å, of that part.
    coulomb_envelope : str
        "exp" or "cosine", of that part.
    dispersion : dict of str to float
        s6, s8, a1 and a2 of the DFT-D3 energy that is added; none if empty.
    charged : bool
        Whether it was trained on ions.
    """

    kind: str = "aimnet2"
    architecture: str = ""
    elements: tuple[int, ...] = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 33, 34, 35, 53)
    features: int = 256
    coulomb: bool = True
    coulomb_embedded: bool = True
    coulomb_range: float = 4.6
    coulomb_envelope: str = "exp"
    dispersion: dict[str, float] = field(default_factory=dict)
    charged: bool = True

    def __post_init__(self) -> None:
        check_elements(self.elements)
        if not set(self.dispersion) <= {"s6", "s8", "a1", "a2"}:
            raise ValueError(f"dispersion has s6, s8, a1 and a2, got {sorted(self.dispersion)}")


class AIMNet2(nn.Module):
    """An AIMNet2 of aimnet 0.2 (the extra ``aimnet2``) for molecules and ions.

    Scalars are its last hidden layer and the atom's charge; it hands out no vectors, so that there is one
    that is zero, and mirror images have the same features. Energies are shared evenly among the atoms of a
    molecule and without those of isolated atoms. It computes in float32.

    Raises
    ------
    ImportError
        Without aimnet.
    ValueError
        If the architecture names modules that are not aimnet's.

    References
    ----------
    D. M. Anstine, R. Zubatyuk and O. Isayev, https://doi.org/10.1039/D4SC08572H
    """

    Config: ClassVar[type] = AIMNet2Config
    energy_scalars = range(0)
    """None: it gives energies itself."""

    def __init__(self, config: AIMNet2Config) -> None:
        super().__init__()
        try:
            with redirect_stdout(StringIO()):  # Warp, which is behind it, tells what it finds
                from aimnet.config import build_module
                from aimnet.models.artifact_validation import REGISTRY_IMPORT_POLICY, validate_model_yaml
                from aimnet.modules.lr import DFTD3, LRCoulomb
        except ImportError as error:
            raise ImportError(f'AIMNet2 needs aimnet (pip install "skmol3d[aimnet2]"): {error}') from error
        self.config = config
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model: Any = build_module(
                validate_model_yaml(config.architecture),
                allow_file_references=False,
                import_authorizer=REGISTRY_IMPORT_POLICY.require_allowed,
            )
        self.coulomb = None
        if config.coulomb:
            self.coulomb = LRCoulomb(
                key_out="energy",
                rc=config.coulomb_range,
                envelope=config.coulomb_envelope,
                subtract_sr=not config.coulomb_embedded,
            )
        self.dispersion = DFTD3(**config.dispersion) if config.dispersion else None

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of scalars S and of vectors V per atom."""
        return self.config.features + 1, 1

    @full_precision
    def forward(self, batch: AtomBatch) -> AtomFeatures:
        """Features of all atoms: scalars [N, S], vectors [N, 3, 1], energies [N] (eV).

        Raises
        ------
        ValueError
            Crystals, elements that it was not trained on, and ions if it does not know them.
        """
        if isinstance(batch, PeriodicBatch):
            raise ValueError("AIMNet2 is for molecules here, not for crystals")
        if not self.config.charged and batch.charge.any():
            raise ValueError("this AIMNet2 was not trained on ions")
        check_known(batch.numbers, self.config.elements, "AIMNet2")
        out = self.model(
            {
                "coord": batch.pad(batch.positions).float(),
                "numbers": batch.pad(batch.numbers),
                "charge": batch.charge.float(),
            }
        )
        scalars = torch.cat([out["aim"], out["charges"][..., None]], -1)[batch.molecule, batch.slot]
        if self.coulomb is not None:
            out = self.coulomb(out)
        if self.dispersion is not None:
            # The path that can be differentiated; the other one is compiled for GPUs.
            out = self.dispersion(out, hessian=True)
        energy = out["energy"].to(batch.positions)
        share = (energy / batch.counts)[batch.molecule]
        return AtomFeatures(scalars.to(energy), batch.positions.new_zeros(len(scalars), 3, 1), share)
