"""Frozen value types that flow through imgmatch: photo, embedding, candidate, finding, verdict.

Only numpy is imported here. Rows of listings and scans are in :mod:`imgmatch.records`.

Conventions
-----------
*query* is what is examined, *reference* what is in the catalog. *similarity* is higher for nearer. Points and boxes are
in the pixels of the **original upright photo** (after EXIF orientation, before any reduction): x to the right, y down.
"""

from imgmatch.types.images import Box, Image, UInt8Array
from imgmatch.types.vectors import Embeddings, EmbeddingSpace, FloatArray, Neighbors
from imgmatch.types.verdicts import (
    EVIDENCE_KEYS,
    FINDING_NAMES,
    Basis,
    Candidate,
    Decision,
    Finding,
    FindingStatus,
    Label,
    PhotoRole,
    Verdict,
)

__all__ = [
    "EVIDENCE_KEYS",
    "FINDING_NAMES",
    "Basis",
    "Box",
    "Candidate",
    "Decision",
    "EmbeddingSpace",
    "Embeddings",
    "Finding",
    "FindingStatus",
    "FloatArray",
    "Image",
    "Label",
    "Neighbors",
    "PhotoRole",
    "UInt8Array",
    "Verdict",
]
