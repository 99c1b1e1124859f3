"""spin goes through every order of events of handoff.pml: nothing is wrong, and each mistake that can be put in is found."""
import pathlib

import pytest

from harness import spin

MODEL = pathlib.Path(__file__).with_name("handoff.pml")

# Kinds of fault, as in the model.
DEATHS, REFUSALS, CLOSES, BREAKS, CRASHES, RELOADS, ROLLS = (1 << bit for bit in range(7))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("definitions", [
    ["FAULTS=1", "PARKS=false"],
    ["FAULTS=1", "WARM", "NC=2"],
    ["FAULTS=2", "WARM"],
    ["FAULTS=3", "WARM", "NW=2", f"FIRST={RELOADS}", f"SECOND={CRASHES}", f"THIRD={DEATHS | REFUSALS | CRASHES}"],
], ids=" ".join)
def test_every_order_of_events_is_right(tmp_path, definitions):
    found = spin.explore(MODEL, tmp_path, *definitions, optimise="-O1")
    assert "errors: 0" in found
    assert "Search not completed" not in found


TWO_OWNERS = "assertion violated ((owner[c]==255)|| !(alive[owner[c]]))"
READ_BEFORE = "assertion violated (owner[c]==255)"
CONNECTION_LOST = "assertion violated (((owner[i]!=255)||answered[i])||excused[i])"
SLOT_EMPTY = "assertion violated (exhausted||(slot_worker"
NOT_TOLD = "assertion violated ( !(draining[i])|| !(alive[i]))"
IN_THE_MIDDLE = "invalid end state"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mistake, what, definitions", [
    ("REDISPATCH_ON_LOSS", TWO_OWNERS, ["FAULTS=1", "WARM"]),
    ("KEEP_ON_LOSS", READ_BEFORE, ["FAULTS=1", "WARM"]),
    ("LOSE_ON_SEND_ERROR", READ_BEFORE, ["FAULTS=1", "WARM", "NC=2"]),
    ("NO_LAST_WORDS", READ_BEFORE, ["FAULTS=1", "WARM"]),
    ("LINGERING_READS", READ_BEFORE, ["FAULTS=2", "WARM", f"FIRST={RELOADS}"]),
    ("IMPORT_GIVES_UP", IN_THE_MIDDLE, ["FAULTS=2", "WARM", f"FIRST={RELOADS}"]),
    ("STARTS_BESIDE_FORMER", READ_BEFORE, ["FAULTS=3", "WARM", "NW=2", f"FIRST={RELOADS}", f"SECOND={CRASHES}", f"THIRD={DEATHS}"]),
    ("SENT_NOT_EXPORTED", CONNECTION_LOST, ["FAULTS=2", "WARM", "NW=2", f"FIRST={RELOADS}", f"SECOND={REFUSALS}"]),
    ("IDS_USED_AGAIN", CONNECTION_LOST, ["FAULTS=3", "WARM", "NW=2", "NC=2", f"FIRST={RELOADS}", f"SECOND={CRASHES}",
                                         f"THIRD={REFUSALS}"]),
    ("UNREADY_STAYS", SLOT_EMPTY, ["FAULTS=1"]),
    ("OLD_WORKER_FORGOTTEN", SLOT_EMPTY, ["FAULTS=2", "WARM", f"FIRST={ROLLS}"]),
    ("UNPARKED_LATE", TWO_OWNERS, ["FAULTS=1", "WARM", "NW=2"]),
    ("NEVER_GIVEN_BACK", CONNECTION_LOST, ["FAULTS=1", "WARM", "NW=2"]),
    ("PARKED_BY_FORMER", TWO_OWNERS, ["FAULTS=2", "WARM", "NW=2", f"FIRST={RELOADS}", f"SECOND={CRASHES}"]),
    ("DRAIN_FORGOTTEN", NOT_TOLD, ["FAULTS=2", "WARM", f"FIRST={ROLLS}"]),
])
def test_a_mistake_is_found(tmp_path, mistake, what, definitions):
    assert what in spin.explore(MODEL, tmp_path, mistake, *definitions)
