"""A model of mace-torch as a `Potential`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.backbones.mace import MACE, MACEConfig, mace_torch
from skmol3d.encoders.potential import Potential, PotentialConfig
from skmol3d.hub.conversion.source import reading
from skmol3d.hub.folder import CheckpointError

TOLERANCE = 1e-6
"""Of features and energies (eV per atom), relative and absolute, in double precision: what was built of the
settings must compute what was unpickled."""


def read_mace(path: Path, model: Any, layers: Sequence[int] = (), head: str | None = None) -> Potential:
    """The potential that an unpickled ``model`` of the file ``path`` is.

    Its energies of isolated atoms become reference energies of the elements.

    Raises
    ------
    CheckpointError
        If it is no ``ScaleShiftMACE``, has several heads of which none was chosen, or has something that the
        settings do not tell, so that the copy computes something else.
    """
    kind = type(model).__name__
    if kind != "ScaleShiftMACE":
        raise CheckpointError(
            f"{path}: a {kind}; only models of mace-torch's ScaleShiftMACE can be converted, saved as"
            " they were trained (not compiled, and none with charges, dipoles or long-range terms of its own)"
        )
    with reading(path, "its settings cannot be read"):
        with mace_torch():
            model = _one_head(path, model, head).double()
            config = _settings(model, layers)
        made = Potential(PotentialConfig(config)).double()
    network = made.backbone.model
    state = {
        name: value.double() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    energies = state.pop("atomic_energies_fn.atomic_energies").reshape(-1)
    for name in ("scale_shift.scale", "scale_shift.shift"):
        state[name] = state[name].reshape(1)
    parameters = {name for name, _ in network.named_parameters()}
    missing, unknown = network.load_state_dict(state, strict=False)
    # Files of older versions lack tables and flags, which are built; no weight may be missing.
    lost = sorted(set(missing) & parameters) + sorted(name for name in unknown if state[name].numel())
    if lost:
        raise CheckpointError(f"{path}: weights that the settings do not account for: {', '.join(lost[:5])}")
    made.element_energy[torch.tensor(config.elements)] = energies.to(made.element_energy)
    _compare(path, made, model)
    return made.float().eval()


def _one_head(path: Path, model: Any, head: str | None) -> Any:
    heads = list(getattr(model, "heads", None) or ["Default"])
    if head is None and len(heads) > 1:
        raise CheckpointError(f"{path}: it has the heads {', '.join(heads)}: choose one with head= (--head)")
    if head is not None and head not in heads:
        raise CheckpointError(f"{path}: it has no head {head!r}, but {', '.join(heads)}")
    if len(heads) == 1:
        return model
    from mace.tools.scripts_utils import remove_pt_head

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return remove_pt_head(model, head)


def _settings(model: nn.Module, layers: Sequence[int]) -> MACEConfig:
    from mace.modules import gate_dict
    from mace.tools.scripts_utils import extract_config_mace_model

    found = extract_config_mace_model(model)
    gates = {function: name for name, function in gate_dict.items()}
    return MACEConfig(
        cutoff=float(found["r_max"]),
        elements=tuple(int(z) for z in found["atomic_numbers"]),
        layers=tuple(layers),
        interaction=found["interaction_cls"].__name__,
        first_interaction=found["interaction_cls_first"].__name__,
        readout=found["readout_cls"].__name__,
        hidden_irreps=str(found["hidden_irreps"]),
        edge_irreps=str(found["edge_irreps"] or ""),
        readout_irreps=str(found["MLP_irreps"]),
        bessel=int(found["num_bessel"]),
        polynomial=int(found["num_polynomial_cutoff"]),
        max_ell=int(found["max_ell"]),
        interactions=int(found["num_interactions"]),
        correlation=int(found["correlation"]),
        neighbours=float(found["avg_num_neighbors"]),
        gate=gates[found["gate"]],
        radial=found["radial_type"],
        transform=found["distance_transform"] or "None",
        radial_widths=tuple(int(width) for width in found["radial_MLP"]),
        pair_repulsion=bool(found["pair_repulsion"]),
        apply_cutoff=bool(found["apply_cutoff"]),
        reduced_cg=bool(found["use_reduced_cg"]),
        so3=bool(found["use_so3"]),
        agnostic_product=bool(found["use_agnostic_product"]),
        last_readout_only=bool(found["use_last_readout_only"]),
        edge_irreps_first=bool(found["use_edge_irreps_first"]),
        embedding=dict(found["embedding_specs"] or {}),
        embedding_readout=bool(found["use_embedding_readout"]),
    )


@torch.no_grad()
def _compare(path: Path, made: Potential, model: Any) -> None:
    """Raise CheckpointError unless both compute the same for a heap of all elements."""
    backbone: MACE = made.backbone
    elements = torch.tensor(made.elements)
    positions = torch.stack(torch.meshgrid(*3 * [torch.arange(5.0)], indexing="ij"), -1).reshape(-1, 3)[
        : 2 * len(elements)
    ]
    # Off the lattice, or symmetry would hide differences.
    positions = 1.4 * positions + 0.3 * torch.sin(torch.arange(float(positions.numel()))).reshape(-1, 3)
    batch = AtomBatch(
        elements.repeat(2)[: len(positions)],
        positions.double(),
        torch.tensor([len(positions)]),
        torch.zeros(1).double(),
    )
    graph = backbone.graph(batch)
    theirs, ours = (m(dict(graph), compute_force=False) for m in (model, backbone.model))
    energy, features = theirs["energy"] / len(positions), theirs["node_feats"]
    pairs: list[tuple[str, Tensor, Tensor]] = [
        ("features", features, ours["node_feats"]),
        ("energies", energy, made.energy(batch) / len(positions)),
    ]
    for what, wanted, found in pairs:
        if wanted.shape != found.shape or not torch.allclose(wanted.to(found), found, TOLERANCE, TOLERANCE):
            raise CheckpointError(
                f"{path}: its settings do not tell all: the copy's {what} differ from its own"
            )
