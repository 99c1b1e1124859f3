"""A short bench/soak."""
import os
import subprocess

import pytest

from harness import paths


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_line_is_lost_twice_or_out_of_order(seed):
    done = subprocess.run([paths.ROOT / "bench" / "soak", "20", "--pinned", "200", "--seed", str(seed), "--limpet", paths.limpet()],
                          capture_output=True, text=True, check=False, timeout=150,
                          env={**os.environ, "BUILD": str(paths.build())})
    print(done.stdout[-4000:])
    assert done.returncode == 0, done.stderr[-2000:]
