"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real scenes and reference weights beside the project; see its own README."""
    folder = Path(os.environ.get("SPARK_COT_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        message = f"{folder} with the real test scenes is missing"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
