from .conversion import convert
from .folder import CheckpointError, encoder_name, fingerprint, save_pretrained
from .loaded import Checkpoint, find_checkpoint, load_encoder
from .names import bundled, from_pretrained, resolve
from .remote import push_to_hub

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "bundled",
    "convert",
    "encoder_name",
    "find_checkpoint",
    "fingerprint",
    "from_pretrained",
    "load_encoder",
    "push_to_hub",
    "resolve",
    "save_pretrained",
]
