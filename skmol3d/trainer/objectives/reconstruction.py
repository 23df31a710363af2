"""Reconstruction of a molecule by a swarm of points: losses of Mo3ENet and deviations in Å."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot, smooth_l1_loss

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.mo3enet.autoencoder import Autoencoder
from skmol3d.encoders.mo3enet.decoder import Embedding, Swarm
from skmol3d.encoders.mo3enet.layers import assign
from skmol3d.encoders.mo3enet.match import Match, Target, reconstruct
from skmol3d.trainer.objectives.registry import Loss, objective

TYPE_SCALE = 2.0  # Å between two elements, c_T of the paper
FACTOR = 0.99  # of σ at each reduction
LEAST_OVERLAP = 1e-3  # σ is not reduced below this self-overlap of the input's atoms
MOMENTUM = 0.02  # of the running loss that is compared with the threshold
# Weights in the cost of an assignment, in Å, of wrong elements and absent points.
TYPE_COST, ABSENCE_COST = 0.3, 0.3


LOSSES = (
    Loss("mixture", "overlap of the swarm's Gaussian mixture with the atoms"),
    Loss("confinement", "points within the molecule's radius (Å)"),
    Loss("balance", "no point without weight"),
    Loss("nearest", "square distances of the atoms to their nearest points (Å²)"),
    Loss("position", "distances of the atoms to the points they are assigned to (Å)"),
    Loss("element", "elements of assigned points"),
    Loss("presence", "weights of the points"),
)


@objective("mo3enet", *LOSSES)
@objective("mo3enet_pooled", *LOSSES)
class Reconstruction(nn.Module):
    """Losses of an autoencoder; ``objective(batch, targets)`` gives them by name.

    Of the paper (arXiv:2405.13791, section 3.2), each a mean over molecules:

    - ``mixture``: overlap of the swarm's Gaussian mixture with every atom, against the atoms' overlap with
      themselves (equation 4), with the authors' smooth L1 in place of the absolute value;
    - ``confinement``: how far points lie outside the molecule's largest radius (equation 5);
    - ``balance``: how far weights fall below a tenth of the molecule's mean (as in the authors' code; the
      text says positive deviations);
    - ``nearest``: mean square distance of the atoms to their nearest point (equation 6, without its factor).

    The width σ (Å², in exp(−d²/σ)) starts at ``sigma`` and shrinks by 1 % whenever the running mean of the
    mixture loss is below ``threshold``, until the atoms' mean overlap with each other is 0.001. Both are
    buffers, so that a resumed run goes on where it was.

    Ours, and what trains fast: every atom is *assigned* to points by entropic optimal transport in which a
    point takes at most one atom; it draws points to atoms from several Å,

    - ``position``: distance (Å) of the atoms to the points they are assigned to;
    - ``element``: cross-entropy of these points' elements;
    - ``presence``: cross-entropy of every point's weight, per atom.

    Parameters
    ----------
    encoder : Autoencoder
    sigma, threshold : float
        See above; the defaults are the paper's.
    blur : float, default=0.15
        Entropy of the assignment, Å.
    """

    sigma: Tensor
    running: Tensor

    def __init__(
        self, encoder: Autoencoder, sigma: float = 2.0, threshold: float = 0.15, blur: float = 0.15
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.threshold, self.blur = threshold, blur
        self.register_buffer("sigma", torch.tensor(float(sigma)))
        self.register_buffer("running", torch.tensor(1.0))

    def forward(
        self, batch: AtomBatch, targets: dict[str, Tensor], embedding: Embedding | None = None
    ) -> dict[str, Tensor]:
        swarm, target = reconstruct(self.encoder, batch, embedding)
        distances = _distances(target.positions, swarm.positions)
        mixture, overlap = mixture_loss(swarm, target, self.sigma.clone())  # it changes below
        if self.training:
            self._narrow(mixture.detach(), overlap)
        return {
            "mixture": mixture,
            "confinement": confinement(swarm, target),
            "balance": balance(swarm.weights),
            "nearest": _mean(distances.amin(2).square(), target.real),
            **assignment_losses(swarm, target, distances, self.blur),
        }

    @torch.no_grad()
    def _narrow(self, loss: Tensor, overlap: Tensor) -> None:
        self.running.lerp_(loss.to(self.running.dtype), MOMENTUM)
        ready = (self.running < self.threshold) & (overlap > LEAST_OVERLAP)
        self.sigma.mul_(torch.where(ready, FACTOR, 1.0).to(self.sigma.dtype))


def mixture_loss(swarm: Swarm, target: Target, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
    """Equation 4, and the atoms' mean overlap with other atoms, which the schedule of σ looks at.

    d² is taken in space and, at 2 Å per element, in the probabilities of the elements.
    """
    own = one_hot(target.types, swarm.elements.shape[-1]).to(swarm.positions) * TYPE_SCALE
    other = swarm.types * TYPE_SCALE
    crossed = _squared(target.positions, swarm.positions) + _squared(own, other)
    found = (torch.exp(-crossed / sigma) * swarm.weights[:, None]).sum(2)
    among = _squared(target.positions, target.positions) + _squared(own, own)
    wanted = (torch.exp(-among / sigma) * target.real[:, None]).sum(2)
    loss = _mean(smooth_l1_loss(found, wanted, reduction="none"), target.real)
    return loss, _mean(wanted.detach() - 1.0, target.real)


def confinement(swarm: Swarm, target: Target) -> Tensor:
    """Mean over points of how far (Å) they lie outside their molecule's largest radius (equation 5)."""
    radius = target.positions.square().sum(-1).amax(1).sqrt()
    lengths = (swarm.positions.square().sum(-1) + 1e-6).sqrt()
    return (lengths - radius[:, None]).clamp(min=0.0).mean()


def balance(weights: Tensor) -> Tensor:
    """Mean relu((w̄ − w)/w̄ − 0.9) over the weights [B, M] of all points."""
    mean = weights.mean(1, keepdim=True)
    return ((mean - weights) / mean - 0.9).clamp(min=0.0).mean()


def assignment_losses(swarm: Swarm, target: Target, distances: Tensor, blur: float) -> dict[str, Tensor]:
    """Losses of points that atoms are assigned to; ``distances`` [B, L, M] are between atoms and points."""
    log_types = swarm.elements.log_softmax(-1).transpose(1, 2)
    places = target.types[:, :, None].expand(-1, -1, log_types.shape[2])
    surprise = -log_types.gather(1, places)
    with torch.no_grad():
        absent = 1.0 - swarm.weights[:, None]
        cost = distances + TYPE_COST * surprise.clamp(max=3.0) + ABSENCE_COST * absent
        plan = assign(cost, target.real, blur)
        taken = plan.sum(1).clamp(max=1.0)
    atoms = target.real.sum()
    presence = binary_cross_entropy_with_logits(swarm.presence, taken, reduction="sum")
    return {
        "position": (plan * distances).sum() / atoms,
        "element": (plan * surprise).sum() / atoms,
        "presence": presence / atoms,
    }


def summarise(matches: list[Match]) -> dict[str, float]:
    """Deviations (Å) of matched atoms and of molecules matched as a whole, and the shares of both.

    ``deviation_atoms`` is the mean over all matched atoms, ``deviation_molecules`` the mean over molecules
    whose atoms are all matched of their atoms' mean (NaN if there is none); ``exact`` is the share of
    molecules whose atoms are all matched with the right elements.
    """
    atoms = torch.cat([m.real.sum(1) for m in matches]).double()
    matched = torch.cat([m.matched.sum(1) for m in matches]).double()
    right = torch.cat([m.element.sum(1) for m in matches]).double()
    total = torch.cat([m.deviation.double().sum(1) for m in matches])
    whole = matched == atoms
    return {
        "deviation_atoms": float(total.sum() / matched.sum()),
        "deviation_molecules": float((total / atoms)[whole].mean()),
        "matched_atoms": float(matched.sum() / atoms.sum()),
        "matched_molecules": float(whole.double().mean()),
        "exact": float((right == atoms).double().mean()),
    }


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, :, None] - b[:, None]).square().sum(-1)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    return (_squared(a, b) + 1e-8).sqrt()


def _mean(values: Tensor, real: Tensor) -> Tensor:
    """Mean over molecules of the means over their atoms."""
    return ((values * real).sum(1) / real.sum(1)).mean()
