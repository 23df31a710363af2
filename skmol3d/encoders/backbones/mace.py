"""MACE (mace-torch) as a backbone: the features of its layers, and the energies of its own readouts."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch, AtomFeatures, check_known, full_precision, radius_edges
from skmol3d.encoders.config import check_elements, check_positive, making_tables
from skmol3d.encoders.periodic import PeriodicBatch

HIGHEST = 4
"""Degree and order of correlation: tables of coupling coefficients grow with powers of them."""
DEEPEST = 16
"""Layers: e3nn writes code for each, which takes a tenth of a second however small it is."""
WIDEST = 2048
"""Multiplicity of irreps, which e3nn lists one by one."""
IRREPS = re.compile(r"\d+x\d+[eo](\+\d+x\d+[eo])*", re.ASCII)
"""As e3nn writes them; it reads other spellings too, which the bounds above would not see."""


@dataclass(frozen=True)
class MACEConfig:
    """Arguments of mace-torch's ``ScaleShiftMACE``, as JSON can hold them, and what of it is handed out.

    Attributes
    ----------
    cutoff : float
        ``r_max``, Å.
    elements : tuple of int
        Atomic numbers, ascending.
    layers : tuple of int
        Interaction layers whose features are handed out, from 0; all if empty.
    interaction, first_interaction, readout : str
        Names of mace-torch's classes.
    hidden_irreps, edge_irreps, readout_irreps : str
        In e3nn's notation; ``edge_irreps`` empty for none.
    bessel, polynomial, max_ell, interactions, correlation : int
        ``num_bessel``, ``num_polynomial_cutoff``, ``max_ell``, ``num_interactions``, ``correlation``.
    neighbours : float
        ``avg_num_neighbors``.
    gate : str
        Of the last readout: "silu", "tanh", "abs" or "None".
    radial, transform : str
        ``radial_type`` and ``distance_transform``.
    radial_widths : tuple of int
        ``radial_MLP``.
    pair_repulsion, apply_cutoff, reduced_cg, so3 : bool
    agnostic_product, last_readout_only, edge_irreps_first : bool
        As mace-torch has them, most with ``use_`` before.
    embedding : dict
        ``embedding_specs``: of the keys only ``total_charge`` and ``total_spin`` (multiplicity; the lowest
        that the number of electrons allows).
    embedding_readout : bool
        ``use_embedding_readout``.
    """

    kind: str = "mace"
    cutoff: float = 5.0
    elements: tuple[int, ...] = (1, 6, 7, 8)
    layers: tuple[int, ...] = ()
    interaction: str = "RealAgnosticResidualInteractionBlock"
    first_interaction: str = "RealAgnosticInteractionBlock"
    readout: str = "NonLinearReadoutBlock"
    hidden_irreps: str = "16x0e+16x1o"
    edge_irreps: str = ""
    readout_irreps: str = "16x0e"
    bessel: int = 8
    polynomial: int = 5
    max_ell: int = 2
    interactions: int = 2
    correlation: int = 2
    neighbours: float = 10.0
    gate: str = "silu"
    radial: str = "bessel"
    transform: str = "None"
    radial_widths: tuple[int, ...] = (64, 64, 64)
    pair_repulsion: bool = False
    apply_cutoff: bool = True
    reduced_cg: bool = True
    so3: bool = False
    agnostic_product: bool = False
    last_readout_only: bool = False
    edge_irreps_first: bool = False
    embedding: dict[str, Any] = field(default_factory=dict)
    embedding_readout: bool = False

    def __post_init__(self) -> None:
        check_positive(self, "cutoff", "neighbours", "bessel", "polynomial", "interactions", "correlation")
        if self.interactions > DEEPEST:
            raise ValueError(f"interactions must not exceed {DEEPEST}, got {self.interactions}")
        check_elements(self.elements)
        if list(self.elements) != sorted(set(self.elements)):
            raise ValueError(f"elements must ascend, got {self.elements}")
        wrong = [k for k in self.layers if not 0 <= k < self.interactions]
        if wrong or len(set(self.layers)) < len(self.layers):
            raise ValueError(f"layers must be distinct and below {self.interactions}, got {self.layers}")
        irreps = [self.hidden_irreps, self.readout_irreps] + [self.edge_irreps] * bool(self.edge_irreps)
        wrong_irreps = [text for text in irreps if not IRREPS.fullmatch(text)]
        if wrong_irreps:
            raise ValueError(f"irreps must be written as 16x0e+16x1o, got {wrong_irreps[0]!r}")
        every = "+".join(irreps)
        degrees = [int(degree) for degree in re.findall(r"x(\d+)", every)]
        if max(self.max_ell, self.correlation, *degrees) > HIGHEST:
            raise ValueError(f"max_ell, correlation and degrees of irreps must not exceed {HIGHEST}")
        if max(int(count) for count in re.findall(r"(\d+)x", every)) > WIDEST:
            raise ValueError(f"multiplicities of irreps must not exceed {WIDEST}")
        if not set(self.embedding) <= {"total_charge", "total_spin"}:
            raise ValueError(f"embedding knows total_charge and total_spin, got {sorted(self.embedding)}")


class MACE(nn.Module):
    """A MACE of mace-torch 0.3 (the extra ``mace``): scalars ``0e`` and vectors ``1o`` of its layers.

    Features of other degrees and parities are left out. The layers stand side by side, the first one first;
    without vectors (as in a last layer) there is one that is zero. Energies are those of MACE's readouts,
    without the energies of isolated atoms. Where the model was trained on crystals, a molecule is what a
    crystal with a very large cell is.

    Raises
    ------
    ImportError
        Without mace-torch.

    References
    ----------
    I. Batatia et al., arXiv:2206.07697; of foundation models, arXiv:2401.00096 (MP-0) and arXiv:2312.15211
    (OFF23).
    """

    Config: ClassVar[type] = MACEConfig
    energy_scalars = range(0)
    """None: it gives energies itself."""
    cpu_atoms: ClassVar[int] = 64
    """Atoms per batch of a featurizer on a CPU: larger blocks than 32 MiB are mapped anew each time, and
    messages of l up to 3 reach them early."""

    def __init__(self, config: MACEConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _build(config)
        self.scalars, self.vectors = _places(config, self.model)

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of scalars S and of vectors V per atom."""
        return len(self.scalars), max(1, len(self.vectors))

    @full_precision
    def forward(self, batch: AtomBatch) -> AtomFeatures:
        """Features of all atoms: scalars [N, S], vectors [N, 3, V], energies [N] (eV).

        Raises
        ------
        ValueError
            Elements that MACE was not trained on.
        """
        learns = any(parameter.requires_grad for parameter in self.parameters())
        # MACE itself asks for gradients by the positions, which would keep all it computes.
        wanted = torch.is_grad_enabled() and (learns or batch.positions.requires_grad)
        with torch.set_grad_enabled(wanted):
            out = self.model(self.graph(batch), training=wanted, compute_force=False)
        features = out["node_feats"]
        vectors = batch.positions.new_zeros(len(features), 3, self.sizes[1])
        if self.vectors:
            places = torch.tensor(self.vectors, device=features.device)
            vectors = features[:, places[:, None] + torch.arange(3, device=features.device)].transpose(1, 2)
        atomic = out["node_energy"].to(features)
        # What belongs to the molecule as a whole (a readout of its charge) is shared among its atoms.
        total = atomic.new_zeros(len(batch)).index_add(0, batch.molecule, atomic)
        share = (out["energy"].to(total) - total) / batch.counts
        return AtomFeatures(features[:, self.scalars], vectors, atomic + share[batch.molecule])

    def __reduce__(self) -> Any:
        # For copies and pickles: what e3nn has generated cannot be copied without TorchScript.
        learns = {name: parameter.requires_grad for name, parameter in self.named_parameters()}
        return _rebuilt, (self.config, self.state_dict(), self.training, learns)

    def graph(self, batch: AtomBatch) -> dict[str, Tensor]:
        """What MACE's ``forward`` takes."""
        check_known(batch.numbers, self.config.elements, "MACE")
        attributes = batch.numbers[:, None] == self.model.atomic_numbers
        edges = radius_edges(batch, self.config.cutoff)
        apart = ~edges.itself
        source, target = edges.source[apart], edges.target[apart]
        positions = batch.positions if batch.positions.requires_grad else batch.positions.detach()
        shifts = positions.new_zeros(len(source), 3)
        if isinstance(batch, PeriodicBatch):
            # Whatever is not the difference of the two positions is a vector of the lattice.
            whole = edges.direction[apart] * edges.distance[apart, None]
            shifts = whole - (positions[target] - positions[source])
        zeros = batch.counts.new_zeros(len(batch))
        graph = {
            "positions": positions,
            "node_attrs": attributes.to(positions.dtype),
            "edge_index": torch.stack([source, target]),
            "shifts": shifts,
            "unit_shifts": torch.zeros_like(shifts),
            "cell": positions.new_zeros(3 * len(batch), 3),
            "batch": batch.molecule,
            "ptr": torch.cat([zeros[:1], batch.counts.cumsum(0)]),
            "head": zeros,
        }
        if self.config.embedding:
            electrons = zeros.index_add(0, batch.molecule, batch.numbers) - batch.charge.round().long()
            graph["total_charge"] = batch.charge
            graph["total_spin"] = (electrons % 2 + 1).to(positions.dtype)
        return graph


@contextmanager
def mace_torch() -> Iterator[Any]:
    """``mace.modules``, with e3nn set not to compile what it builds in this block.

    mace-torch switches off torch's protection against pickles for the whole process (an environment
    variable) when it is imported: here it is switched on again, as it was.

    Raises
    ------
    ImportError
        Without mace-torch.
    """
    name = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    # It also prints which accelerators it has not found; e3nn warns of torch.jit and of its own constants.
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        try:
            import e3nn
            from mace import modules
        except ImportError as error:
            raise ImportError(f'MACE needs mace-torch (pip install "skmol3d[mace]"): {error}') from error
        finally:
            os.environ.pop(name, None)
            if before is not None:
                os.environ[name] = before
        compiled = e3nn.get_optimization_defaults()["jit_script_fx"]
        try:
            e3nn.set_optimization_defaults(jit_script_fx=False)
            yield modules
        finally:
            e3nn.set_optimization_defaults(jit_script_fx=compiled)


def _build(config: MACEConfig) -> Any:
    with mace_torch() as modules, _tables_apart():
        from e3nn import o3

        def named(classes: dict[str, Any], name: str) -> Any:
            if name not in classes:
                raise ValueError(f"mace-torch knows {', '.join(classes)}; got {name!r}")
            return classes[name]

        return modules.ScaleShiftMACE(
            r_max=config.cutoff,
            num_bessel=config.bessel,
            num_polynomial_cutoff=config.polynomial,
            max_ell=config.max_ell,
            interaction_cls=named(modules.interaction_classes, config.interaction),
            interaction_cls_first=named(modules.interaction_classes, config.first_interaction),
            num_interactions=config.interactions,
            num_elements=len(config.elements),
            hidden_irreps=o3.Irreps(config.hidden_irreps),
            MLP_irreps=o3.Irreps(config.readout_irreps),
            atomic_energies=torch.zeros(1, len(config.elements)).numpy(),
            avg_num_neighbors=config.neighbours,
            atomic_numbers=list(config.elements),
            correlation=config.correlation,
            gate=named(modules.gate_dict, config.gate),
            pair_repulsion=config.pair_repulsion,
            apply_cutoff=config.apply_cutoff,
            use_reduced_cg=config.reduced_cg,
            use_so3=config.so3,
            use_agnostic_product=config.agnostic_product,
            use_last_readout_only=config.last_readout_only,
            use_embedding_readout=config.embedding_readout,
            distance_transform=config.transform,
            edge_irreps=o3.Irreps(config.edge_irreps) if config.edge_irreps else None,
            use_edge_irreps_first=config.edge_irreps_first,
            radial_MLP=list(config.radial_widths),
            radial_type=config.radial,
            embedding_specs=config.embedding or None,
            readout_cls=named(modules.readout_classes, config.readout),
            atomic_inter_scale=[1.0],
            atomic_inter_shift=[0.0],
        )


@contextmanager
def _tables_apart() -> Iterator[None]:
    """Context in which mace-torch makes its coupling coefficients as `making_tables` says."""
    from mace.modules import symmetric_contraction

    made = symmetric_contraction.U_matrix_real

    def apart(*args: Any, **kwargs: Any) -> Any:
        with making_tables():
            return made(*args, **kwargs)

    symmetric_contraction.U_matrix_real = apart
    try:
        yield
    finally:
        symmetric_contraction.U_matrix_real = made


def _rebuilt(config: MACEConfig, state: dict[str, Tensor], training: bool, learns: dict[str, bool]) -> MACE:
    with torch.random.fork_rng(devices=[]):
        made = MACE(config)
    weight = state["model.node_embedding.linear.weight"]
    made.to(weight.device, weight.dtype).load_state_dict(state)
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(learns[name])
    return made.train(training)


def _places(config: MACEConfig, model: Any) -> tuple[list[int], list[int]]:
    """Columns of MACE's features that are scalars, and where its vectors begin (x, y, z side by side)."""
    scalars: list[int] = []
    vectors: list[int] = []
    start = 0
    for k, product in enumerate(model.products):
        irreps = product.linear.irreps_out
        for (_, kind), part in zip(irreps, irreps.slices(), strict=True):
            columns = range(start + part.start, start + part.stop, kind.dim)
            if k in (config.layers or range(config.interactions)):
                scalars += columns if str(kind) == "0e" else []
                vectors += columns if str(kind) == "1o" else []
        start += irreps.dim
    return scalars, vectors
