"""bench/run and bench/instructions, as a smoke test: what they measure here says nothing."""
import importlib.util
import json
import os
import shutil
import subprocess

import pytest

from harness import paths

BENCH = paths.ROOT / "bench"


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=240, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, "BUILD": str(paths.build())})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What one run of tables without Node.js leaves."""
    # They are not installed here as two of them start a service of the system.
    for needed in ("nginx", "haproxy"):
        if not shutil.which(needed) and not shutil.which(needed, path="/usr/sbin"):
            pytest.skip(f"{needed} is not installed (sh config/packages bench)")
    if not importlib.util.find_spec("matplotlib"):
        pytest.skip("matplotlib is not installed (sh config/packages bench)")
    directory = tmp_path_factory.mktemp("results")
    done = run(BENCH / "run", "--quick", "--results", directory, "--only", "none-c,limpet-cookie,nginx-http,haproxy-http",
               "connections", "after", "idle", "scale", "storm")
    assert done.returncode == 0, done.stdout + done.stderr
    return directory, json.loads((directory / "part.json").read_text(encoding="utf-8")), done


def test_every_front_is_in_every_table_and_nothing_failed(results):
    found = results[1]
    assert found["skipped"] == []
    fronts = {"none-c", "limpet-cookie", "nginx-http", "haproxy-http"}
    assert set(found["tables"]["connections"]["rows"]) == set(found["tables"]["storm"]["rows"]) == fronts
    assert set(found["tables"]["idle"]["rows"]) == {f"200, {front}" for front in fronts}
    assert len(found["tables"]["after"]["rows"]) == 4 * len(fronts)
    for table in found["tables"].values():
        for name, row in table["rows"].items():
            assert row["median"]["failures"] == 0, name


def test_cpu_is_that_of_the_front_and_of_the_workers(results):
    rows = results[1]["tables"]["connections"]["rows"]
    for name, row in rows.items():
        assert row["median"]["rate"] > 0 and row["median"]["workers_cpu"] > 0, name
        assert (row["median"]["front_cpu"] > 0) == (name != "none-c"), name
    assert rows["limpet-cookie"]["median"]["kept"] in ("yes", "?")


def test_the_machine_and_the_targets_are_in_what_is_written(results):
    directory, found, done = results
    assert found["quick"] and {"kernel", "cpu", "cpus", "limpet", "nginx", "haproxy"} <= set(found["machine"])
    assert {"target", "measured", "met"} == set(found["targets"][0])
    text = (directory / "part.md").read_text(encoding="utf-8")
    for part in ("## Targets", "## One request a connection", "## A reconnect storm", found["machine"]["kernel"]):
        assert part in text
    for name in ("connections", "after", "idle"):
        assert (directory / f"{name}.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert "limpet-cookie" in done.stdout


def test_what_is_not_known_is_refused():
    for words in (["nonsense"], ["--only", "nonsense", "connections"]):
        done = run(BENCH / "run", *words)
        assert done.returncode == 2 and "there is no" in done.stderr


def count_instructions(*options):
    done = run(BENCH / "instructions", *options)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    return done


def test_no_path_has_grown():
    done = count_instructions()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_path_that_has_grown_is_told(tmp_path):
    baseline = json.loads((BENCH / "instructions.json").read_text(encoding="utf-8"))
    baseline["instructions"]["hash"] -= 10
    baseline["instructions"]["no more"] = 5
    (tmp_path / "baseline.json").write_text(json.dumps(baseline), encoding="utf-8")
    done = count_instructions("--baseline", tmp_path / "baseline.json")
    assert done.returncode == 1
    assert done.stdout.count("GROWN") == 1 and "no more: in the baseline, and not counted" in done.stdout
