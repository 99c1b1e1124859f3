"""What the tests of this folder begin with."""
import os

import pytest

from harness.scene import Scene


@pytest.fixture
def scene(limpet, tmp_path):
    """scene(workers=2, ...): a limpet with scripted workers."""
    os.chmod(tmp_path, 0o777)
    return lambda **options: Scene(limpet, tmp_path, **options)


@pytest.fixture
def sanitized():
    """Is limpet built with sanitizers? Then it is several times slower, and has more threads and files of its own."""
    return "sanitize" in os.environ.get("BUILD", "")
