"""A file of AIMNet2 as a `Potential`: tensors and settings, in which nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from skmol3d.encoders.backbones.aimnet2 import AIMNet2Config
from skmol3d.encoders.potential import Potential, PotentialConfig
from skmol3d.hub.allowance import building
from skmol3d.hub.conversion.source import reading
from skmol3d.hub.folder import CheckpointError

SHIFTS = "shifts.weight"  # ends the names of energies of isolated atoms


def read_aimnet2(path: Path, content: Any) -> Potential:
    """The potential that the ``content`` of the file ``path`` describes.

    Its energies of isolated atoms become reference energies of the elements. Weights of other elements, which
    may be undefined, become zeros: molecules with these are refused.

    Raises
    ------
    CheckpointError
        If it is no AIMNet2 of format 2, or has something that is not known here.
    ImportError
        Without aimnet.
    """
    if not isinstance(content, Mapping) or not {"model_yaml", "state_dict"} <= set(content):
        raise CheckpointError(f"{path}: tensors without the settings of a model that is known here")
    if content.get("format_version", 2) != 2:
        raise CheckpointError(f"{path}: an AIMNet2 of format {content['format_version']}; 2 is read")
    mode = content.get("coulomb_mode", "none")
    if mode not in ("sr_embedded", "none"):
        raise CheckpointError(f"{path}: coulomb_mode {mode!r} is not known")
    with reading(path, "its settings cannot be read"):
        state = {name: torch.as_tensor(value) for name, value in content["state_dict"].items()}
        config = AIMNet2Config(
            architecture=content["model_yaml"],
            elements=tuple(sorted(int(z) for z in content["implemented_species"])),
            features=_features(state),
            coulomb=bool(content.get("needs_coulomb", False)),
            coulomb_embedded=mode == "sr_embedded",
            coulomb_range=float(content.get("coulomb_sr_rc") or 4.6),
            coulomb_envelope=content.get("coulomb_sr_envelope") or "exp",
            dispersion=_dispersion(content),
            charged=content.get("supports_charged_systems") is not False,
        )
        with building(state):
            made = Potential(PotentialConfig(config))
    with reading(path, "weights that do not fit their settings"):
        foreign = torch.ones(len(state["afv.weight"]), dtype=torch.bool)
        foreign[list(config.elements)] = False
        state["afv.weight"] = state["afv.weight"].masked_fill(foreign[:, None], 0.0)
        for name in [name for name in state if name.endswith(SHIFTS)]:
            energies = state[name].flatten().masked_fill(foreign[: len(state[name])], 0.0)
            made.element_energy[: len(energies)] += energies.to(made.element_energy)
            state[name] = torch.zeros_like(state[name])
        made.backbone.model.load_state_dict(state)
    return made.float().eval()


def _features(state: Mapping[str, torch.Tensor]) -> int:
    """Size of the last layer of the last pass."""
    biases = [name.split(".") for name in state if name.startswith("mlps.") and name.endswith(".bias")]
    last = max((int(k), int(layer)) for _, k, layer, _ in biases)
    return len(state["mlps.{}.{}.bias".format(*last)])


def _dispersion(content: Mapping[str, Any]) -> dict[str, float]:
    if not content.get("needs_dispersion", False):
        return {}
    found = content["d3_params"]
    return {name: float(found.get(name, 1.0)) for name in ("s6", "s8", "a1", "a2")}
