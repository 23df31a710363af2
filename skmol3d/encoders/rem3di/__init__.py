"""REM3DI: pooled attention over the atom features of a potential."""

from skmol3d.encoders.rem3di.config import REM3DIConfig
from skmol3d.encoders.rem3di.encoder import REM3DI, Tokens

__all__ = ["REM3DI", "REM3DIConfig", "Tokens"]
