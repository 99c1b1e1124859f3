"""A systemd of the test's own, as PID 1 of namespaces of its own: with the units that it is given and no others. The network is
the machine's. Needs root, and a machine that lets it make namespaces and control groups."""
import contextlib
import os
import pathlib
import subprocess
import uuid

from harness.wait import wait_until

SYSTEMD = pathlib.Path("/lib/systemd/systemd")
CGROUPS = pathlib.Path("/sys/fs/cgroup")

BOOT = """
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    [ -e "$hierarchy/cgroup.procs" ] || continue
    mkdir "$hierarchy/{name}" && echo $$ >"$hierarchy/{name}/cgroup.procs"
done
exec unshare --pid --fork --kill-child --mount --uts --ipc sh -ec '
    mount --make-rprivate /
    mount -t tmpfs tmpfs /run
    mount -t proc proc /proc
    mkdir -p /run/systemd
    cp -r {units} /run/systemd/system
    exec env -i container=other PATH="$PATH" SYSTEMD_UNIT_PATH=/run/systemd/system \\
        {systemd} --system --unit=test.target --log-target=console --log-level=info --show-status=0'
"""


class Unavailable(Exception):
    """There can be no systemd here; the text says why."""


class Systemd:
    """Use it with `with`. units: {name: text}."""

    def __init__(self, directory, units):
        if os.geteuid() != 0 or not SYSTEMD.exists():
            raise Unavailable("needs root and systemd")
        self.name = f"limpet-test-{uuid.uuid4().hex[:8]}"
        self.log = pathlib.Path(directory) / "systemd.log"
        folder = pathlib.Path(directory) / "units"
        folder.mkdir()
        (folder / "test.target").write_text("[Unit]\nDefaultDependencies=no\n", encoding="utf-8")
        for name, text in units.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", BOOT.format(name=self.name, units=folder, systemd=SYSTEMD)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def __enter__(self):
        try:
            wait_until(self._answers, "an answer of systemd", 15)
        except AssertionError:
            self.__exit__()
            raise Unavailable(f"systemd does not run here: {self.text()[-300:]}") from None
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)
        wait_until(self._clean, f"the control groups {self.name} removed")

    def _clean(self):
        """Control groups can be removed when their last process has ended."""
        for top in [*CGROUPS.glob(self.name), *CGROUPS.glob(f"*/{self.name}")]:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        return not [*CGROUPS.glob(self.name), *CGROUPS.glob(f"*/{self.name}")]

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError("it ended")
        with contextlib.suppress(OSError):
            return self.ctl("show", "-p", "Version", check=False).returncode == 0
        return False

    def _init(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if not children:
            raise ProcessLookupError("not there yet")
        return children[0]

    def text(self):
        return self.log.read_text(errors="replace")

    def run(self, *command, check=True):
        done = subprocess.run(["nsenter", "-t", self._init(), "-m", "-p", *map(str, command)], capture_output=True,
                              text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.stderr}\n{self.text()}"
        return done

    def ctl(self, *arguments, check=True):
        return self.run("systemctl", *arguments, check=check)

    def show(self, unit, name):
        return self.ctl("show", "-p", name, "--value", unit).stdout.strip()

    def main_pid(self, unit):
        """As this side sees it."""
        pid = self.show(unit, "MainPID")
        for entry in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                fields = dict(line.split(":", 1) for line in entry.read_text().splitlines())
                inside = fields["NSpid"].split()
                if len(inside) > 1 and inside[-1] == pid and fields["Name"].strip() == "limpet":
                    return int(entry.parent.name)
        return None
