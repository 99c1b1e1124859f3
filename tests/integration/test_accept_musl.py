"""Protocol accept with programs that are linked with another C library than limpet."""
import shutil
import subprocess

import pytest

from harness import paths, sticky
from harness.http import get
from integration.test_accept_shim import free_port


@pytest.fixture(name="program")
def _program(tmp_path):
    if not shutil.which("musl-gcc"):
        pytest.skip("musl-gcc is not installed")
    if not (paths.build() / "src/worker/accept/liblimpet-accept-musl.so").exists():
        pytest.skip("limpet was built without musl")
    subprocess.run(["musl-gcc", "-o", tmp_path / "server", paths.APPS / "static-server.c"], check=True)
    return tmp_path / "server"


@pytest.mark.parametrize("mode", ["blocking", "poll"])
def test_a_server_of_musl(limpet, program, mode):
    front = limpet([program, free_port()], workers=4, sticky="cookie:sid", env={"MODE": mode})
    sticky.check_sticky(front, sticky.by_cookie(front, "sid"), 4)
    seen = get(front.address, source="127.0.0.9").json()
    assert seen["peer"].startswith("127.0.0.9:") and seen["listening"] == front.port
    assert "past limpet" not in front.text()


def test_a_script_that_runs_under_a_program_of_musl(limpet, program, tmp_path):
    """The interpreter counts, also through another script."""
    port = free_port()
    (tmp_path / "inner").write_text(f"#!{program} {port}\n", encoding="ascii")
    (tmp_path / "inner").chmod(0o755)
    front = limpet([tmp_path / "inner", port], workers=2)
    front.wait_ready(2)
    assert get(front.address).json()["listening"] == port
