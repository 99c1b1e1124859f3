"""Where things are. $BUILD names another build directory, $LIMPET_BINARY another limpet."""
import os
import pathlib

TESTS = pathlib.Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
APPS = TESTS / "apps"
MODULES = APPS / "node_modules"

# Workers that write down what they serve: an ordinary Node.js server, and a process with children that share its socket.
JOURNAL = ["node", str(TESTS / "workers" / "journal.js")]
PREFORK = ["/usr/bin/python3", "-S", "-E", str(TESTS / "workers" / "prefork.py"), "1"]


def build() -> pathlib.Path:
    return (ROOT / os.environ.get("BUILD", "build")).resolve()


def limpet() -> pathlib.Path:
    named = os.environ.get("LIMPET_BINARY")
    return pathlib.Path(named).resolve() if named else build() / "src" / "limpet"


def limpetctl() -> pathlib.Path:
    named = os.environ.get("LIMPETCTL_BINARY")
    return pathlib.Path(named).resolve() if named else limpet().with_name("limpetctl")


def limpet_join() -> pathlib.Path:
    return limpetctl().with_name("limpet-join")


def demo_worker() -> pathlib.Path:
    return build() / "src" / "worker" / "limpet-demo-worker"


def agent() -> pathlib.Path:
    return build() / "src" / "worker" / "agent" / "limpet-agent"
