"""spin, which goes through every order of events of a model."""
import subprocess


def explore(model, directory, *definitions, optimise="-O0"):
    """What spin's verifier prints."""
    options = [f"-D{definition}" for definition in definitions]
    subprocess.run(["spin", "-a", *options, model], cwd=directory, check=True, timeout=60)
    # NOREDUCE: the guards look at the length of queues and at `timeout`, which partial order reduction does not allow for.
    subprocess.run(["gcc", optimise, "-w", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR", "-DVECTORSZ=4096", "-DMEMLIM=8000", "-o", "pan",
                    "pan.c"], cwd=directory, check=True, timeout=120)
    done = subprocess.run(["./pan", "-m100000", "-w25"], cwd=directory, check=True, timeout=300, capture_output=True, text=True)
    print(done.stdout)
    assert "max search depth too small" not in done.stdout
    assert "out of memory" not in done.stdout
    return done.stdout
