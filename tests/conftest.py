"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos beside the project; tests that need it skip aloud where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real photos are not here: {SHARED_DATA}")
    return SHARED_DATA
