"""Geometry-aware self-supervision: coordinates in a learned global frame, and how well they fit."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from skmol3d.encoders.rem3di import Tokens
from skmol3d.trainer.objectives.encoder import KIND, EncoderPart, Setting, View
from skmol3d.trainer.objectives.registry import Loss, objective

SPREAD = 2.0  # Å: atoms of angles and dihedrals are drawn with probability falling as exp(-distance/SPREAD)
TINY = 1e-12  # keeps gradients finite where predicted atoms coincide or stand in line


@objective(
    KIND,
    Loss("distances", "distances (Å) in a learned global frame"),
    Loss("angles", "angles in a learned global frame"),
    Loss("dihedrals", "signed dihedrals in a learned global frame"),
)
class GlobalFrame(EncoderPart):
    """Losses ``distances`` (Å), ``angles`` and ``dihedrals`` of coordinates read from the tokens.

    The geometry task of context- and geometry-aware self-supervision of 3D conformers (the poster that also
    gives `substructures` its task): representations of the atoms are projected on three learned axes, and the
    distances, angles and dihedrals of the coordinates so obtained must be those of the conformer. Signed
    dihedrals fix its handedness. Ours is how a representation can know it: the tokens are the same for mirror
    images, so they give two of the coordinates; the third is an odd function of the pseudoscalars, each
    atom's own and those of others gathered by attention. Mirror images thus get mirrored coordinates, and a
    mirror plane of a molecule is the plane of the first two. Atoms that a rotation of the molecule maps on
    each other have equal representations and cannot be told apart.

    Parameters
    ----------
    width : int
        Channels of an encoded token.
    chiral : int
        Pseudoscalar channels.
    """

    names: Collection[str] = ("distances", "angles", "dihedrals")

    def __init__(self, width: int, chiral: int) -> None:
        super().__init__()
        self.even = nn.Linear(width, 2, bias=False)
        self.query = nn.Linear(width, chiral)
        self.key = nn.Linear(width, chiral)
        self.own = nn.Linear(width, chiral)
        self.gathered = nn.Linear(width, chiral)

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> GlobalFrame:
        """For the tokens of an encoder."""
        made = cls(setting.encoder.config.width, setting.encoder.config.chiral)
        made.names = names
        return made

    def compute(self, view: View) -> dict[str, Tensor]:
        """Losses of a batch."""
        return {name: loss for name, loss in self(view.tokens).items() if name in self.names}

    def observe(self, view: View) -> dict[str, Tensor]:
        """Deviations of the molecules."""
        true = view.tokens.atoms.pad(view.tokens.atoms.positions)
        return {"rmsd": aligned_rmsd(self.coordinates(view.tokens), true, view.tokens.real)}

    def marks(self, observed: dict[str, Tensor]) -> dict[str, float]:
        """Mean ``aligned_rmsd`` (Å, without reflection)."""
        return {"aligned_rmsd": float(observed["rmsd"].mean())}

    def forward(self, tokens: Tokens) -> dict[str, Tensor]:
        positions = tokens.atoms.pad(tokens.atoms.positions)
        chains = draw_chains(positions, tokens.real)
        return geometry_losses(self.coordinates(tokens), positions, tokens.real, *chains)

    def coordinates(self, tokens: Tokens) -> Tensor:
        """Reconstructed coordinates [B, L, 3], Å."""
        encoded, odd = tokens.encoded, tokens.pseudoscalars
        logits = self.query(encoded) @ self.key(encoded).transpose(1, 2) / odd.shape[-1] ** 0.5
        weights = logits.masked_fill(~tokens.real[:, None], -torch.inf).softmax(2)
        third = (self.own(encoded) * odd + self.gathered(encoded) * (weights @ odd)).sum(2, keepdim=True)
        return torch.cat([self.even(encoded), third], 2)


def draw_chains(positions: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """For every atom i of [B, L, 3] three different others j, k, l, near ones more often than far ones.

    Returns
    -------
    chains : LongTensor [B, L, 4]
        Atoms j, i, k, l: the angle j-i-k and the dihedral j-i-k-l.
    valid : BoolTensor [B, L, 2]
        Whether the molecule has the atoms for the angle, and for the dihedral.
    """
    size = real.shape[1]
    distance = (positions[:, :, None] - positions[:, None]).norm(dim=-1)
    pairs = real[:, :, None] & real[:, None] & ~torch.eye(size, dtype=torch.bool, device=real.device)
    # The largest of Gumbel-perturbed log-weights are a sample without replacement (arXiv:1903.06059).
    gumbel = -torch.empty_like(distance).exponential_().log()
    scores = (gumbel - distance / SPREAD).masked_fill(~pairs, -torch.inf)
    scores = nn.functional.pad(scores, (0, max(0, 3 - size)), value=-torch.inf)
    drawn, others = scores.topk(3, dim=2)
    others = others.clamp(max=size - 1)
    centre = torch.arange(size, device=real.device).expand(len(real), size)[..., None]
    chains = torch.cat([others[..., :1], centre, others[..., 1:]], 2)
    return chains, torch.stack([drawn[..., 1].isfinite(), drawn[..., 2].isfinite()], 2)


def geometry_losses(
    predicted: Tensor, positions: Tensor, real: Tensor, chains: Tensor, valid: Tensor
) -> dict[str, Tensor]:
    """How far ``predicted`` [B, L, 3] is from ``positions`` [B, L, 3] (Å) in terms of two to four atoms.

    ``distances`` is the mean absolute error over all pairs (Å); ``angles`` and ``dihedrals`` are means of
    1 - cos(error) over the valid ``chains``, dihedrals weighted by the sines of their two angles, as one with
    three atoms in line is undefined.
    """
    pairs = (real[:, :, None] & real[:, None]).triu(1)
    distances, angles, dihedrals = [], [], []
    for points in (predicted, positions):
        distances.append(_norm(points[:, :, None] - points[:, None]))
        first, second, third, fourth = (_take(points, chains[..., k]) for k in range(4))
        angles.append(_angle(first - second, third - second))
        dihedrals.append(_dihedral(first - second, third - second, fourth - third))
    (dihedral, _), (true_dihedral, sines) = dihedrals
    return {
        "distances": _mean((distances[0] - distances[1]).abs(), pairs),
        "angles": _mean(1.0 - (angles[0] * angles[1]).sum(-1), valid[..., 0]),
        "dihedrals": _mean(1.0 - (dihedral * true_dihedral).sum(-1), valid[..., 1] * sines),
    }


def aligned_rmsd(predicted: Tensor, positions: Tensor, real: Tensor) -> Tensor:
    """Root-mean-square deviation [B] (Å) after the best rotation and translation, without reflection.

    Kabsch's method (doi:10.1107/S0567739476001873) for padded coordinates [B, L, 3] of the places ``real``.
    """
    count = real.sum(1)
    centred = []
    for points in (predicted, positions):
        points = torch.where(real[..., None], points, 0.0)
        centred.append((points - points.sum(1, keepdim=True) / count[:, None, None]) * real[..., None])
    left, singular, right = torch.linalg.svd(centred[0].transpose(1, 2) @ centred[1])
    # Where the best orthogonal matrix is a reflection, the best rotation gives up the smallest direction.
    sign = torch.where(torch.linalg.det(left) * torch.linalg.det(right) < 0, -1.0, 1.0)
    overlap = singular[:, 0] + singular[:, 1] + sign * singular[:, 2]
    squares = sum(c.square().sum((1, 2)) for c in centred) - 2.0 * overlap
    return (squares / count).clamp(min=0.0).sqrt()


def _angle(back: Tensor, ahead: Tensor) -> Tensor:
    """Cosine and sine [..., 2] of the angle between two vectors."""
    parts = torch.stack([(back * ahead).sum(-1), _norm(torch.linalg.cross(back, ahead))], -1)
    return parts / _norm(parts)[..., None]


def _dihedral(back: Tensor, axis: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine [..., 2] of the signed dihedral about ``axis``; product of the sines of its angles."""
    before, after = torch.linalg.cross(axis, back), torch.linalg.cross(axis, ahead)
    length = _norm(axis)
    sine = (axis * torch.linalg.cross(before, after)).sum(-1) / length
    parts = torch.stack([(before * after).sum(-1), sine], -1)
    size = _norm(parts)
    sines = size / (length.square() * _norm(back) * _norm(ahead))
    return parts / size[..., None], sines


def _take(points: Tensor, index: Tensor) -> Tensor:
    return points.gather(1, index[..., None].expand(-1, -1, 3))


def _norm(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(-1) + TINY).sqrt()


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1.0)
