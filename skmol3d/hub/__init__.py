"""Checkpoints: where a name leads, and how an encoder is read from there, saved, published and shared.

A checkpoint is a folder with ``config.json``, ``model.safetensors`` and ``README.md`` (the model card). That
of a REM3DI may also hold ``words.csv``, which names its words.
Only JSON and safetensors are ever read: nothing is unpickled and no code comes with a checkpoint.
"""

import lazy_loader

# Lazy: who knows a checkpoint's name must not pay for torch. The names stand in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
