"""Manuals, example configurations and shell scripts."""
import json
import subprocess

import pytest

from harness import paths

SCRIPTS = ["config/demo", "config/packages", "tests/run", "tests/coverage", "tests/tools/under-valgrind", ".ci/run"]
MANUALS = sorted(path for path in (paths.ROOT / "man").glob("*.[1-8]"))
CONFIGS = sorted(path for path in (paths.ROOT / "config").rglob("*.json") if "schema" not in path.name)


def check(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("manual", MANUALS, ids=lambda path: path.name)
def test_manual(manual):
    assert check("mandoc", "-T", "lint", "-W", "warning", manual).stdout == ""


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_example_configuration(config):
    check(paths.limpet(), "-t", "-c", config)


@pytest.mark.parametrize("script", SCRIPTS)
def test_shell_script(script):
    check("shellcheck", paths.ROOT / script)


def test_completion():
    check("shellcheck", "-s", "bash", paths.ROOT / "config" / "completion" / "limpet.bash")


def test_no_registry_is_named_in_the_lock_of_the_test_packages():
    for directory in paths.APPS, paths.APPS / "servers", paths.ROOT / "bench":
        lock = json.loads((directory / "package-lock.json").read_text())
        assert not [name for name, package in lock["packages"].items() if "resolved" in package]
        pinned = json.loads((directory / "package.json").read_text())["dependencies"]
        assert not [name for name, version in pinned.items() if version.rsplit("@", 1)[-1][0] in "^~*<>="]


@pytest.mark.parametrize("script", sorted([*paths.TESTS.glob("*/*.js"), *paths.ROOT.glob("bench/*.js")]),
                         ids=lambda path: path.name)
def test_javascript(script):
    check("node", "--check", script)


def test_systemd_units(tmp_path):
    service = (paths.ROOT / "config" / "limpet.service.in").read_text()
    (tmp_path / "limpet.service").write_text(service.replace("@limpet@", str(paths.limpet())))
    (tmp_path / "limpet.socket").write_text((paths.ROOT / "config" / "limpet.socket").read_text())
    done = check("systemd-analyze", "verify", "--man=no", tmp_path / "limpet.service", tmp_path / "limpet.socket")
    assert "limpet" not in done.stderr
