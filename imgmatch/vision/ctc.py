"""How likely a recogniser of lines finds a string: connectionist temporal classification, forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["ctc_log_likelihood"]


def ctc_log_likelihood(logs: npt.NDArray[np.float64], labels: Sequence[int], blank: int = 0) -> float:
    """Return the log probability of a label sequence under CTC, summed over all alignments.

    Parameters
    ----------
    logs : ndarray, shape (T, C), float64
        Log probability of each class at each step.
    labels : sequence of int
        Without blanks.

    References
    ----------
    Graves et al., "Connectionist Temporal Classification", ICML 2006, equations 6-8 (forward variables).
    """
    if not labels:
        return float(logs[:, blank].sum())
    path = [blank]
    for label in labels:
        path += [label, blank]
    # alpha[s]: log probability of the first s symbols of `path` after t steps.
    alpha = np.full(len(path), -np.inf)
    alpha[:2] = logs[0, path[:2]]
    skip = np.array([s >= 2 and path[s] != blank and path[s] != path[s - 2] for s in range(len(path))])
    emit = logs[:, path]
    for t in range(1, len(logs)):
        one = np.concatenate([[-np.inf], alpha[:-1]])
        two = np.where(skip, np.concatenate([[-np.inf, -np.inf], alpha[:-2]]), -np.inf)
        alpha = np.logaddexp(np.logaddexp(alpha, one), two) + emit[t]
    return float(np.logaddexp(alpha[-1], alpha[-2]))
