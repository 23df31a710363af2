"""A small AIMNet2 with random weights, as its authors write it to a file."""

import warnings

import torch

ARCHITECTURE = """
class: aimnet.models.AIMNet2
kwargs:
  nfeature: 4
  d2features: true
  ncomb_v: 3
  hidden: [[16, 12], [16, 12], [16, 12, 12]]
  aim_size: 8
  aev: {rc_s: 5.0, nshifts_s: 4}
  outputs:
    energy_mlp:
      class: aimnet.modules.Output
      kwargs:
        {n_in: 8, n_out: 1, key_in: aim, key_out: energy, mlp: {activation_fn: torch.nn.GELU, hidden: [8]}}
    atomic_shift:
      class: aimnet.modules.AtomicShift
      kwargs: {key_in: energy, key_out: energy}
    atomic_sum:
      class: aimnet.modules.AtomicSum
      kwargs: {key_in: energy, key_out: energy}
    srcoulomb:
      class: aimnet.modules.SRCoulomb
      kwargs: {rc: 4.6, key_in: charges, key_out: energy, envelope: exp}
"""
SHIFTS = {1: -13.7, 6: -1035.0, 8: -2043.5, 46: -3484.0}


def aimnet2_file(path, **changes):
    """The path, to which a model of the elements of `SHIFTS` has been written."""
    from aimnet.config import build_module
    from aimnet.models.artifact_validation import validate_model_yaml

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = build_module(validate_model_yaml(ARCHITECTURE))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    state["afv.weight"][[7, 9]] = torch.nan  # elements it was not trained on
    shifts = state["outputs.atomic_shift.shifts.weight"].double()
    shifts[list(SHIFTS), 0] = torch.tensor(list(SHIFTS.values()), dtype=torch.float64)
    state["outputs.atomic_shift.shifts.weight"] = shifts
    content = {
        "format_version": 2,
        "model_yaml": ARCHITECTURE,
        "cutoff": 5.0,
        "needs_coulomb": True,
        "needs_dispersion": True,
        "coulomb_mode": "sr_embedded",
        "coulomb_sr_rc": 4.6,
        "coulomb_sr_envelope": "exp",
        "d3_params": {"s6": 1.0, "s8": 0.3908, "a1": 0.566, "a2": 3.128},
        "implemented_species": list(SHIFTS),
        "has_embedded_lr": True,
        "supports_charged_systems": True,
        "state_dict": state,
    }
    torch.save({**content, **changes}, path)
    return path
