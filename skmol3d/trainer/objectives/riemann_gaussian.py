"""3D-EMGP: equivariant force prediction under Riemann-Gaussian noise, invariant noise-scale prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from skmol3d.encoders.atoms import AtomBatch, AtomFeatures
from skmol3d.encoders.potential import Potential
from skmol3d.trainer.objectives.potential import KIND
from skmol3d.trainer.objectives.registry import Loss, objective


@objective(
    KIND,
    Loss("efp", "forces of Riemann-Gaussian noise (3D-EMGP, arXiv:2207.08824)", metric="efp"),
    Loss("inp", "the scale of that noise", metric="inp"),
)
class RiemannGaussian(nn.Module):
    """Losses ``efp`` and ``inp`` of energy-motivated pretraining (arXiv:2207.08824).

    Each molecule is perturbed at one noise level drawn from a geometric series. Equivariant force prediction:
    the force of the potential approaches the score of the noise (`force_target`), squared error summed over
    the atoms and averaged over the molecules. Invariant noise-scale prediction: a classifier names the level
    from representations of the clean and of the perturbed molecule. The authors weight them 1 and 0.2.

    Positions get isotropic Gaussian noise, which is one step of the paper's Langevin sampling, as in the
    authors' code.

    Parameters
    ----------
    potential : Potential
    largest, smallest : float
        Noise of the first and of the last level, Å. The authors start from 10 Å and connect atoms by bonds;
        a backbone with a cutoff sees no neighbours, and learns nothing, in molecules torn that far apart.
    levels : int
        Noise levels.
    names : collection of str
        Losses to compute.
    """

    sigmas: Tensor

    def __init__(
        self,
        potential: Potential,
        largest: float = 1.0,
        smallest: float = 0.01,
        levels: int = 50,
        names: Collection[str] = ("efp", "inp"),
    ) -> None:
        super().__init__()
        self.potential = potential
        self.names = names
        width = len(potential.backbone.energy_scalars)
        self.atom = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.level = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, levels))
        self.register_buffer("sigmas", torch.logspace(0, 1, levels, base=smallest / largest) * largest)

    @classmethod
    def build(cls, names: Collection[str], potential: Potential) -> RiemannGaussian:
        """For a potential."""
        return cls(potential, names=names)

    def compute(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, whose targets do not matter."""
        return self(batch)

    def forward(self, batch: AtomBatch) -> dict[str, Tensor]:
        level = torch.randint(len(self.sigmas), (len(batch),), device=batch.counts.device)
        sigma = self.sigmas[level].to(batch.positions)
        noisy = batch.positions + sigma[batch.molecule][:, None] * torch.randn_like(batch.positions)
        return self.losses(batch, noisy, level)

    def losses(self, batch: AtomBatch, noisy: Tensor, level: Tensor) -> dict[str, Tensor]:
        """The losses for perturbed positions ``noisy`` [N, 3] (Å) at noise levels ``level`` [B]."""
        losses = {}
        with torch.enable_grad():
            perturbed = dataclasses.replace(batch, positions=noisy.detach().requires_grad_())
            features = self.potential.backbone(perturbed)
            if "efp" in self.names:
                energy = self.potential.energy(perturbed, features)
                (gradient,) = torch.autograd.grad(energy.sum(), perturbed.positions, create_graph=True)
                target = force_target(batch, noisy, self.sigmas[level].to(noisy))
                losses["efp"] = (gradient + target).square().sum() / len(batch)
        if "inp" in self.names:
            after = self._molecules(batch, features)
            before = self._molecules(batch, self.potential.backbone(batch))
            losses["inp"] = cross_entropy(self.level(torch.cat([before, after], 1)), level)
        return losses

    def _molecules(self, batch: AtomBatch, features: AtomFeatures) -> Tensor:
        return _total(batch, self.atom(self.potential.energy_scalars(features)))


def riemann_score(batch: AtomBatch, noisy: Tensor, sigma: Tensor) -> Tensor:
    """Gradient [N, 3] of the Riemann-Gaussian's log-density in the perturbed positions.

    For centred positions Y (``batch``) and Ỹ (``noisy``) of one molecule
    log p = -‖ỸỸᵀ - YYᵀ‖²_F / 4σ² + constant, which depends on interatomic distances alone, and the gradient
    is -[Ỹ(ỸᵀỸ) - Y(YᵀỸ)] / σ² (arXiv:2207.08824). ``sigma`` [B] is the noise of each molecule.
    """
    difference, _ = _gram_products(batch, noisy)
    return -difference / sigma.square()[batch.molecule][:, None]


def force_target(batch: AtomBatch, noisy: Tensor, sigma: Tensor) -> Tensor:
    """Target force [N, 3]: σ/α times `riemann_score`, with α = ½(‖ỸᵀỸ‖_F + ‖YᵀỸ‖_F).

    The scale α (Å²) makes targets of all molecules and levels equally large; without it the score grows as
    the cube of a molecule's size.
    """
    difference, alpha = _gram_products(batch, noisy)
    # A single atom has no geometry: zero over zero, and its target is zero.
    scale = (sigma * alpha).clamp(min=torch.finfo(noisy.dtype).tiny)
    return -difference / scale[batch.molecule][:, None]


def _gram_products(batch: AtomBatch, noisy: Tensor) -> tuple[Tensor, Tensor]:
    """Ỹ(ỸᵀỸ) - Y(YᵀỸ) [N, 3] and α [B]."""
    clean, noisy = _centred(batch, batch.positions), _centred(batch, noisy)
    own = _total(batch, noisy[:, :, None] * noisy[:, None])
    mixed = _total(batch, clean[:, :, None] * noisy[:, None])
    alpha = 0.5 * (own.norm(dim=(1, 2)) + mixed.norm(dim=(1, 2)))
    molecule = batch.molecule
    both = noisy[:, None] @ own[molecule] - clean[:, None] @ mixed[molecule]
    return both[:, 0], alpha


def _centred(batch: AtomBatch, positions: Tensor) -> Tensor:
    mean = _total(batch, positions) / batch.counts[:, None]
    return positions - mean[batch.molecule]


def _total(batch: AtomBatch, values: Tensor) -> Tensor:
    return values.new_zeros(len(batch), *values.shape[1:]).index_add(0, batch.molecule, values)
