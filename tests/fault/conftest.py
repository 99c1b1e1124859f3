"""What the tests of this folder begin with."""
import os

import pytest


@pytest.fixture
def sanitized():
    """Is limpet built with sanitizers? Then it is several times slower, and has more threads and files of its own."""
    return "sanitize" in os.environ.get("BUILD", "")
