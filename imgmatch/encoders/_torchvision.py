"""Make torchvision importable beside a PyTorch it was not built for.

The CPU wheels of PyTorch and the CUDA wheel of torchvision that a plain ``pip install`` may pick do not share a build.
torchvision then cannot load its compiled operators, and its import dies with ``operator torchvision::nms does not
exist`` although neither its models' plain layers nor its transforms need them. Declaring the schemas of the missing
operators is enough; calling one of them still fails, as it should. A healthy pair is left alone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import threading
from pathlib import Path
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
    # _C until torchvision 0.28, _C_stable since. Declared beside one that loads, the schemas end the process.
    endings = (".so", ".pyd", ".dylib")
    for folder in spec.submodule_search_locations:
        for binary in sorted(f for f in Path(folder).glob("_C*") if f.suffix in endings):
            with contextlib.suppress(OSError, RuntimeError):
                torch.ops.load_library(str(binary))
    return hasattr(torch.ops.torchvision, "nms")
