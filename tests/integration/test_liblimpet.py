"""liblimpet as it is installed: what it exports, what it needs, and that programs which were built with it go on working."""
import platform
import re
import shutil
import subprocess

import pytest

from harness import documents, liblimpet, paths
from harness.front import Front

SOURCE = paths.ROOT / "src" / "worker" / "liblimpet"
DUMP = paths.TESTS / "abi" / "liblimpet.so.0.abi"
FUNCTION = re.compile(r"\b(limpet_\w+)\(")

PROGRAM = """
#include <limpet.h>
#include <stdio.h>
int main()
{
    struct limpet *limpet;
    if (limpet_open(&limpet) < 0)
        return 1;
    while (limpet_accept(limpet, NULL, NULL, SOCK_CLOEXEC) >= 0)
        limpet_closed(limpet, 1);
    limpet_close(limpet);
    puts("ended");
}
"""


def names(command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.split()[-1] for line in done.stdout.splitlines() if len(line.split()) > 2 and " A " not in line}


def declared():
    header = re.sub(r"/\*.*?\*/", "", (SOURCE / "limpet.h").read_text(encoding="utf-8"), flags=re.DOTALL)
    return set(FUNCTION.findall(header))


def test_what_is_exported_is_what_is_declared_and_described():
    shared = names(["nm", "-D", "--defined-only", str(liblimpet.installed("liblimpet.so.0.1.0"))])
    assert {name.split("@@")[0] for name in shared} == declared()
    assert {name.split("@@")[1] for name in shared} == {"LIMPET_0.1"}
    manual = (paths.ROOT / "man" / "liblimpet.3").read_text(encoding="utf-8")
    synopsis = manual.split(".Sh SYNOPSIS")[1].split(".Sh DESCRIPTION")[0]
    assert set(re.findall(r"^\.Fn (\w+)", synopsis, re.MULTILINE)) == declared()


def test_the_manual_has_what_the_header_has():
    header = (SOURCE / "limpet.h").read_text(encoding="utf-8")
    manual = (paths.ROOT / "man" / "liblimpet.3").read_text(encoding="utf-8")
    constants = set(re.findall(r"\bLIMPET_(?!FD\b|SOCKET\b|POOL\b|SLOT\b|H\b)[A-Z_]+", header))
    assert len(constants) > 8
    assert constants <= set(re.findall(r"LIMPET_[A-Z_]+", manual))
    assert set(re.findall(r"-(E[A-Z]+)\b", header)) == set(re.findall(r"\bE[A-Z]{3,}\b", manual.split(".Sh ERRORS")[1]))


def test_a_static_library_takes_no_names_of_a_program():
    assert not {name for name in names(["nm", "-g", "--defined-only", str(liblimpet.installed("liblimpet.a"))])
                if not name.startswith("limpet_")}


@pytest.mark.skipif(liblimpet.sanitizers() != "none", reason="built with a sanitizer, which needs libraries of its own")
def test_it_needs_the_c_library_alone():
    done = subprocess.run(["readelf", "-d", str(liblimpet.installed("liblimpet.so.0.1.0"))], capture_output=True, text=True,
                          check=True)
    assert set(re.findall(r"NEEDED.*\[(.*)\]", done.stdout)) == {"libc.so.6"}
    assert re.findall(r"SONAME.*\[(.*)\]", done.stdout) == ["liblimpet.so.0"]


@pytest.mark.parametrize("command", [
    "cc -Wall -Werror -o program program.c $(pkg-config --cflags --libs limpet)",
    "c++ -Wall -Werror -o program -x c++ program.c $(pkg-config --cflags --libs limpet)",
    "cc -Wall -Werror -o program program.c -Wl,-Bstatic $(pkg-config --cflags --libs --static limpet) -Wl,-Bdynamic",
], ids=["C", "C++", "static"])
def test_built_with_pkg_config(tmp_path, command):
    if not shutil.which(command.split()[0]):
        pytest.skip(f"{command.split()[0]} is not installed")
    (tmp_path / "program.c").write_text(PROGRAM, encoding="utf-8")
    liblimpet.run(command, tmp_path)
    linked = "liblimpet" in subprocess.run(["readelf", "-d", str(tmp_path / "program")], capture_output=True, text=True,
                                           check=True).stdout
    assert linked == ("static" not in command)
    front = Front([tmp_path / "program"], env=liblimpet.environment())
    assert front.read()["type"] == "hello" and front.read()["type"] == "ready"
    front.connect().close()
    front.send({"type": "drain"})
    assert front.worker.wait(10) == 0
    front.end()


def test_version():
    version = (paths.ROOT / "meson.build").read_text(encoding="utf-8").split("version: '")[1].split("'")[0]
    assert liblimpet.run("pkg-config --modversion limpet", paths.ROOT).strip() == version


def test_the_manual_shows_that_every_function_is_there():
    assert "limpet_next(" in documents.literal("liblimpet.3", "#include <limpet.h>")


# ---- programs that were built with an older one ----

def dump(library, directory):
    """Its interface as the installed header has it: what is inside struct limpet is nobody's business."""
    headers = directory / "headers"
    headers.mkdir()
    shutil.copy(SOURCE / "limpet.h", headers)
    written = directory / "written.abi"
    subprocess.run(["abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--type-id-style", "hash",
                    "--exported-interfaces-only", "--headers-dir", headers, "--drop-private-types", "--out-file", written,
                    library], check=True, timeout=60)
    return written


@pytest.mark.skipif(not shutil.which("abidw"), reason="abidw (abigail-tools) is not installed")
@pytest.mark.skipif(liblimpet.sanitizers() != "none", reason="built with a sanitizer, which adds to it")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the committed dump is of x86_64")
def test_abi(tmp_path):
    now = dump(paths.build() / "src" / "worker" / "liblimpet" / "liblimpet.so.0.1.0", tmp_path)
    done = subprocess.run(["abidiff", DUMP, now], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (
        f"{done.stdout}{done.stderr}\nWhat only adds to the library belongs into {DUMP.name}: copy {now} there. What changes or "
        "removes something breaks programs: it needs another soname, and a word in NEWS.md.")
