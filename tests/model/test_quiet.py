"""spin goes through every order of steps of quiet.pml: nothing is wrong, and each mistake that can be put in is found."""
import pathlib

import pytest

from harness import spin

MODEL = pathlib.Path(__file__).with_name("quiet.pml")

NOT_ACKNOWLEDGED = "assertion violated acknowledged[i]"
READ_BEFORE = "assertion violated  !(read[i])"


@pytest.mark.parametrize("flips", range(4))
def test_every_order_of_steps_is_right(tmp_path, flips):
    found = spin.explore(MODEL, tmp_path, f"FLIPS={flips}")
    assert "errors: 0" in found
    assert "Search not completed" not in found


@pytest.mark.parametrize("mistake, what, definitions", [
    ("ASKS_BEFORE_NOTING", READ_BEFORE, []),
    ("LOOKS_TOO_SOON", READ_BEFORE, []),
    ("NO_LAST_LOOK", READ_BEFORE, []),
    ("HANDS_OVER_QUIET", READ_BEFORE, []),
    ("ASKS_BEFORE_NOTING", NOT_ACKNOWLEDGED, ["NO_DEATH"]),
    ("LOOKS_TOO_SOON", NOT_ACKNOWLEDGED, ["NO_DEATH"]),
    ("HANDS_OVER_QUIET", NOT_ACKNOWLEDGED, ["NO_DEATH"]),
])
def test_a_mistake_is_found(tmp_path, mistake, what, definitions):
    assert what in spin.explore(MODEL, tmp_path, mistake, *definitions)
