"""Every encoder a checkpoint can hold, by name."""

from torch import nn

from skmol3d.encoders.crystal_energy import CrystalEnergy
from skmol3d.encoders.mo3enet import Mo3ENet
from skmol3d.encoders.mo3enet.pooled import PooledMo3ENet
from skmol3d.encoders.potential import Potential
from skmol3d.encoders.published_rem3di import PublishedREM3DI
from skmol3d.encoders.rem3di import REM3DI

ENCODERS: dict[str, type[nn.Module]] = {
    REM3DI.name: REM3DI,
    PublishedREM3DI.name: PublishedREM3DI,
    Mo3ENet.name: Mo3ENet,
    PooledMo3ENet.name: PooledMo3ENet,
    Potential.name: Potential,
    CrystalEnergy.name: CrystalEnergy,
}
