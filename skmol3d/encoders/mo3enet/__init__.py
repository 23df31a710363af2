"""Mo3ENet: an equivariant autoencoder of molecules."""

from skmol3d.encoders.mo3enet.encoder import Mo3ENet, Mo3ENetConfig

__all__ = ["Mo3ENet", "Mo3ENetConfig"]
