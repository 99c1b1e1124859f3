"""liblimpet as a program finds it: installed, and asked for with pkg-config."""
import functools
import json
import os
import pathlib
import subprocess
import tempfile

from harness import paths

_directories = []


def sanitizers():
    """What this build is under: "address,undefined", or "none"."""
    options = json.loads((paths.build() / "meson-info" / "intro-buildoptions.json").read_text())
    return next(option["value"] for option in options if option["name"] == "b_sanitize")


@functools.cache
def root():
    """A directory that limpet is installed in, as a package would be built."""
    _directories.append(tempfile.TemporaryDirectory(prefix="limpet-install-"))
    directory = pathlib.Path(_directories[-1].name)
    subprocess.run(["meson", "install", "-C", paths.build(), "--no-rebuild", "--quiet"], check=True, timeout=60,
                   stdout=subprocess.DEVNULL, env={**os.environ, "DESTDIR": str(directory / "root")})
    programs = directory / "bin"
    programs.mkdir()
    if sanitizers() != "none":  # what uses the library needs them, too
        for name in ("cc", "c++"):
            (programs / name).write_text(f'#!/bin/sh\nexec /usr/bin/{name} -fsanitize={sanitizers()} "$@"\n')
            (programs / name).chmod(0o755)
    return directory


def installed(name):
    found = list((root() / "root").rglob(name))
    assert len(found) == 1, f"{name}: {found}"
    return found[0]


def environment():
    """For compilers and pkg-config, and for programs that use the shared library."""
    return {**os.environ, "PATH": f"{root() / 'bin'}:{os.environ['PATH']}",
            "PKG_CONFIG_LIBDIR": str(installed("limpet.pc").parent), "PKG_CONFIG_SYSROOT_DIR": str(root() / "root"),
            "LD_LIBRARY_PATH": str(installed("liblimpet.so.0").parent)}


def run(command, cwd):
    """Runs a line of shell; returns what it printed."""
    done = subprocess.run(["sh", "-c", command], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=120,
                          check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
