"""Rotations and attention as operators of PyTorch, and models that use them."""

from ._operators import apply_rotary, attention
from ._patch import Patch, patch, unpatch
from ._programs import Rotation, rotation

__all__ = ["Patch", "Rotation", "apply_rotary", "attention", "patch", "rotation", "unpatch"]
