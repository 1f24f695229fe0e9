"""Make torchvision importable beside a PyTorch it was not built for.

The CPU wheels of PyTorch and the CUDA wheel of torchvision that a plain ``pip install`` may pick do not share a build.
torchvision then cannot load its compiled operators, and its import dies with ``operator torchvision::nms does not
exist`` although neither its models' plain layers nor its transforms need them. Declaring the schemas of the missing
operators is enough; calling one of them still fails, as it should. A healthy pair is left alone.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import threading
from typing import Any

__all__ = ["ensure_torchvision"]

_SCHEMAS = tuple(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms"))
_lock = threading.Lock()
_library: Any = None  # torch drops the declarations of a Library that is garbage-collected


def ensure_torchvision() -> bool:
    """Declare torchvision's operators if its compiled library does not load; call before torchvision is imported.

    Returns
    -------
    bool
        True where the schemas had to be declared (by this or an earlier call), False for a healthy pair or where
        torchvision is not installed.

    Notes
    -----
    Loading torchvision's compiled library is what registers the operators, and all that a healthy import would do
    first, so trying just that decides which kind of pair this is without importing torchvision. Thread-safe.
    """
    global _library
    import torch

    with _lock:
        if _library is None and not _operators_load(torch):
            _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
            for schema in _SCHEMAS:
                _library.define(schema)
        return _library is not None


def _operators_load(torch: Any) -> bool:
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return True  # nothing to mend: importing it gives the clear error
    binary = importlib.machinery.PathFinder.find_spec("_C", list(spec.submodule_search_locations))
    if binary is None or binary.origin is None:
        return False
    try:
        torch.ops.load_library(binary.origin)
    except (OSError, RuntimeError):
        return False
    return hasattr(torch.ops.torchvision, "nms")
