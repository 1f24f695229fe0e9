"""ONNX Runtime, as every model in that format is run here: on the CPU, idle threads asleep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgmatch.errors import WeightsError

__all__ = ["session"]


def session(model: Path | bytes, threads: int = 1, *, any_size: bool = False) -> Any:
    """Load a model.

    Parameters
    ----------
    model : Path or bytes
        An ONNX file, or what is in one.
    threads : int
        Threads of one call; 0 takes one per core.
    any_size : bool
        Whether its pictures are of any size: then memory is given back after each. To keep it takes 140 MB more for the
        text detector, which is then a seventh faster (measured by hand).

    Returns
    -------
    onnxruntime.InferenceSession
        Safe to share between threads.

    Raises
    ------
    WeightsError
        If ONNX Runtime cannot load it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.enable_cpu_mem_arena = not any_size
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    what, where = (str(model), f"{model}: ") if isinstance(model, Path) else (model, "")
    try:
        return onnxruntime.InferenceSession(what, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions derive from nothing in common
        raise WeightsError(f"{where}ONNX Runtime cannot load it: {str(error).splitlines()[0]}") from error
