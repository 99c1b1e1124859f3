"""spin goes through every order of events of handoff.pml: nothing is wrong, and each mistake that can be put in is found."""
import pathlib
import subprocess

import pytest

MODEL = pathlib.Path(__file__).with_name("handoff.pml")

# Kinds of fault, as in the model.
DEATHS, REFUSALS, CLOSES, BREAKS, CRASHES, RELOADS, ROLLS = (1 << bit for bit in range(7))


def explore(directory, *definitions, optimise="-O0"):
    """What spin's verifier prints."""
    options = [f"-D{definition}" for definition in definitions]
    subprocess.run(["spin", "-a", *options, MODEL], cwd=directory, check=True, timeout=60)
    # NOREDUCE: the guards look at the length of queues and at `timeout`, which partial order reduction does not allow for.
    subprocess.run(["gcc", optimise, "-w", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR", "-DVECTORSZ=4096", "-DMEMLIM=8000", "-o", "pan",
                    "pan.c"], cwd=directory, check=True, timeout=120)
    done = subprocess.run(["./pan", "-m100000", "-w25"], cwd=directory, check=True, timeout=300, capture_output=True, text=True)
    print(done.stdout)
    assert "max search depth too small" not in done.stdout
    assert "out of memory" not in done.stdout
    return done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("definitions", [
    ["FAULTS=1", "PARKS=false"],
    ["FAULTS=1", "WARM", "NC=2"],
    ["FAULTS=2", "WARM"],
    ["FAULTS=3", "WARM", "NW=2", f"FIRST={RELOADS}", f"SECOND={CRASHES}", f"THIRD={DEATHS | REFUSALS | CRASHES}"],
], ids=" ".join)
def test_every_order_of_events_is_right(tmp_path, definitions):
    found = explore(tmp_path, *definitions, optimise="-O1")
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
    assert what in explore(tmp_path, mistake, *definitions)
