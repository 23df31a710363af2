"""Our backbones as others write them: EGNN on PyTorch Geometric, the Equivariant Transformer of torchmd-net.

Each rival computes the same energies and forces as the `Potential` whose weights it was given, so that
`skmol3d.benchmark.experiments.training_throughput` compares nothing but the implementation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing, global_add_pool

from skmol3d.encoders import AtomBatch, EGNNConfig, EquivariantTransformerConfig, Potential
from skmol3d.encoders.atoms import MAX_NUMBER, radius_edges
from skmol3d.encoders.layers import ExpNormal, cosine_cutoff


class PlainEGNN(nn.Module):
    """A potential on `skmol3d.encoders.EGNN`, written as PyTorch Geometric has it.

    Atoms carry coordinates, a message is one network of two atoms' features side by side, and a layer is a
    ``MessagePassing``.
    """

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        config, backbone = potential.config.backbone, potential.backbone
        assert isinstance(config, EGNNConfig)
        self.config = config
        self.embedding = nn.Embedding(MAX_NUMBER, config.width)
        self.charge = nn.Linear(1, config.width, bias=False)
        self.radial = ExpNormal(config.radial, config.cutoff)
        self.layers = nn.ModuleList(PlainEGNNLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Sequential(
            nn.Linear(config.width, config.width // 2), nn.SiLU(), nn.Linear(config.width // 2, 1)
        )
        for name in ("embedding", "charge", "radial", "norm"):
            getattr(self, name).load_state_dict(getattr(backbone, name).state_dict())
        assert potential.head is not None
        self.head.load_state_dict(potential.head.state_dict())
        for mine, layer in zip(self.layers, backbone.layers, strict=True):
            for name in ("norm", "attention", "move", "update_net"):
                getattr(mine, name).load_state_dict(getattr(layer, name.removesuffix("_net")).state_dict())
            first = [layer.receiver.weight, layer.sender.weight, layer.geometry.weight]
            mine.get_submodule("message_net.0").load_state_dict(
                {"weight": torch.cat(first, 1), "bias": layer.receiver.bias}
            )
            mine.get_submodule("message_net.2").load_state_dict(layer.message[1].state_dict())

    def prepare(self, batch: AtomBatch) -> tuple[Tensor, ...]:
        """Inputs of `forward`, with the edges, which PyTorch Geometric makes once per data set."""
        edges = radius_edges(batch, self.config.cutoff)
        pairs = torch.stack([edges.source, edges.target])[:, ~edges.itself]
        return batch.numbers, batch.positions, batch.molecule, batch.charge, pairs

    def forward(
        self, numbers: Tensor, positions: Tensor, molecule: Tensor, charge: Tensor, pairs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Energies [B] in eV and forces [N, 3] in eV/Å."""
        positions = positions.detach().requires_grad_()
        source, target = pairs
        distance = (positions[target] - positions[source]).norm(dim=1)
        radial = self.radial(distance)
        envelope = cosine_cutoff(distance, self.config.cutoff)[:, None]
        h = self.embedding(numbers) + self.charge(charge[:, None])[molecule]
        x = positions[:, :, None].expand(-1, -1, self.config.channels)
        for layer in self.layers:
            h, x = layer(h, x, pairs, distance[:, None], radial, envelope)
        energy = global_add_pool(self.head(self.norm(h)), molecule, len(charge))[:, 0]
        (gradient,) = torch.autograd.grad(energy.sum(), positions, create_graph=self.training)
        return energy, -gradient


class PlainEGNNLayer(MessagePassing):
    """One update of the features h [N, F] and of the coordinates x [N, 3, C]; see `EGNNLayer`."""

    def __init__(self, config: EGNNConfig) -> None:
        super().__init__(aggr="add", node_dim=0)
        width, channels = config.width, config.channels
        self.unit = config.cutoff**2
        self.norm = nn.LayerNorm(width)
        self.message_net = nn.Sequential(
            nn.Linear(2 * width + config.radial + channels, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
        )
        self.attention = nn.Linear(width, 1)
        self.move = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, channels, bias=False))
        self.update_net = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(
        self, h: Tensor, x: Tensor, pairs: Tensor, distance: Tensor, radial: Tensor, envelope: Tensor
    ) -> tuple[Tensor, Tensor]:
        normed = self.norm(h)
        gathered, pushed = self.propagate(
            pairs, h=normed, x=x, distance=distance, radial=radial, envelope=envelope
        )
        return h + self.update_net(torch.cat([normed, gathered], 1)), x + pushed

    def message(
        self,
        h_i: Tensor,
        h_j: Tensor,
        x_i: Tensor,
        x_j: Tensor,
        distance: Tensor,
        radial: Tensor,
        envelope: Tensor,
    ) -> tuple[Tensor, Tensor]:
        apart = x_i - x_j
        squared = apart.square().sum(1) / self.unit
        message = self.message_net(torch.cat([h_i, h_j, radial, squared], 1))
        message = message * torch.sigmoid(self.attention(message)) * envelope
        speed = self.move(message) * envelope / (distance + 1.0)
        return message, apart * speed[:, None]

    def aggregate(
        self, inputs: tuple[Tensor, Tensor], index: Tensor, dim_size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        message, push = inputs
        return (
            self.aggr_module(message, index, dim_size=dim_size, dim=0),
            self.aggr_module(push, index, dim_size=dim_size, dim=0),
        )


class TorchMDNet(nn.Module):
    """A potential on the Equivariant Transformer of the package torchmd-net, with its own neighbour search.

    It knows no charge: only potentials whose charges' weights are zero can be given to it.

    Parameters
    ----------
    potential : Potential
        On an `EquivariantTransformer`.
    neighbours : int
        Most neighbours of an atom, itself included.
    """

    def __init__(self, potential: Potential, neighbours: int) -> None:
        super().__init__()
        # Here, because it loads NVIDIA Warp, which the other rival does not need.
        from torchmdnet.models.model import TorchMD_Net
        from torchmdnet.models.output_modules import Scalar
        from torchmdnet.models.torchmd_et import TorchMD_ET

        config, backbone = potential.config.backbone, potential.backbone
        assert isinstance(config, EquivariantTransformerConfig)
        assert not backbone.charge.weight.any()
        transformer = TorchMD_ET(
            hidden_channels=config.width,
            num_layers=config.layers,
            num_rbf=config.radial,
            trainable_rbf=False,
            num_heads=config.heads,
            cutoff_upper=config.cutoff,
            max_z=MAX_NUMBER,
            max_num_neighbors=neighbours,
            vector_cutoff=True,
        )
        self.net = TorchMD_Net(transformer, Scalar(config.width), derivative=True)
        transformer.embedding.load_state_dict(backbone.embedding.state_dict())
        transformer.distance_expansion.means.copy_(backbone.radial.centre)
        transformer.distance_expansion.betas.copy_(backbone.radial.sharpness)
        first = transformer.neighbor_embedding
        first.embedding.load_state_dict(backbone.neighbour_embedding.state_dict())
        first.distance_proj.load_state_dict(backbone.neighbour_filter.state_dict())
        first.combine.load_state_dict(backbone.combine.state_dict())
        for theirs, layer in zip(transformer.attention_layers, backbone.layers, strict=True):
            theirs.layernorm.load_state_dict(layer.norm.state_dict())
            theirs.q_proj.load_state_dict(layer.query.state_dict())
            theirs.k_proj.load_state_dict(layer.key.state_dict())
            theirs.dk_proj.load_state_dict(layer.key_filter.state_dict())
            theirs.vec_proj.load_state_dict(layer.vectors.state_dict())
            theirs.o_proj.load_state_dict(layer.out.state_dict())
            # Three rows of values per head there, three blocks of all heads here.
            for name, linear in (("v_proj", layer.value), ("dv_proj", layer.value_filter)):
                state = {
                    key: value.unflatten(0, (3, config.heads, -1)).transpose(0, 1).flatten(0, 2)
                    for key, value in linear.state_dict().items()
                }
                getattr(theirs, name).load_state_dict(state)
        transformer.out_norm.load_state_dict(backbone.norm.state_dict())
        assert potential.head is not None
        self.net.output_model.output_network.layers.load_state_dict(potential.head.state_dict())

    def prepare(self, batch: AtomBatch) -> tuple[Tensor, ...]:
        """Inputs of `forward`."""
        return batch.numbers, batch.positions, batch.molecule

    def forward(self, numbers: Tensor, positions: Tensor, molecule: Tensor) -> tuple[Tensor, Tensor]:
        """Energies [B] in eV and forces [N, 3] in eV/Å."""
        energy, forces = self.net(numbers, positions.detach(), molecule)
        return energy[:, 0], forces
