"""Small models of mace-torch with random weights, as a user has them in a file."""

import pytest
import torch

from skmol3d.encoders.backbones.mace import mace_torch

ORGANIC_ENERGIES = {1: -13.6, 6: -1029.5, 8: -2041.9}


def mace_model(energies=None, heads=None, seed=0, **arguments):
    """A `ScaleShiftMACE` of mace-torch, with the energies of isolated atoms (eV) given by element."""
    energies = energies or ORGANIC_ENERGIES
    with mace_torch() as modules, torch.random.fork_rng(devices=[]):
        from e3nn import o3

        torch.manual_seed(seed)
        irreps = {
            name: o3.Irreps(arguments.pop(name, default))
            for name, default in {"hidden_irreps": "8x0e+8x1o", "MLP_irreps": "8x0e"}.items()
        }
        named = {
            name: modules.interaction_classes[arguments.pop(name, default)]
            for name, default in {
                "interaction_cls": "RealAgnosticResidualInteractionBlock",
                "interaction_cls_first": "RealAgnosticInteractionBlock",
            }.items()
        }
        copies = len(heads or [None])
        settings = {
            "r_max": 4.5,
            "num_bessel": 6,
            "num_polynomial_cutoff": 5,
            "max_ell": 2,
            "num_interactions": 2,
            "correlation": 2,
            "avg_num_neighbors": 9.0,
            "gate": torch.nn.functional.silu,
            "radial_MLP": [16, 16],
            "heads": heads,
            "num_elements": len(energies),
            "atomic_numbers": list(energies),
            "atomic_energies": torch.tensor([list(energies.values())] * copies).numpy(),
            "atomic_inter_scale": [20.0] * copies,
            "atomic_inter_shift": [0.2] * copies,
        }
        return modules.ScaleShiftMACE(**{**settings, **irreps, **named, **arguments}).double()


def mace_file(path, **arguments):
    """The path, to which such a model has been pickled."""
    model = mace_model(**arguments)
    with mace_torch(), pytest.MonkeyPatch.context() as patched:
        patched.setattr("warnings.warn", lambda *_, **__: None)  # of torch.jit, that it is deprecated
        torch.save(model, path)
    return path
