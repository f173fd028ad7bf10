"""A small file system for one broker: a piece of memory, mounted where only the broker sees it.

A process that does nothing holds the namespace of the mount open; whatever is to see the file system is started inside of it.
No rights are needed where the system lets everyone have user namespaces, else those of root.
"""

import os
import subprocess
from pathlib import Path

# The first that this machine allows: what begins a namespace, and what enters it.
WAYS = (
    (["unshare", "--user", "--map-root-user", "--mount"], ["nsenter", "--user", "--mount", "--preserve-credentials"]),
    (["unshare", "--mount"], ["nsenter", "--mount"]),
)
MOUNT = 'mount -t tmpfs -o size="$1" small "$2" && echo mounted && exec cat'


class DiskError(Exception):
    """This machine gives no file system, or a change of it failed."""


class SmallDisk:
    """The file system at `path`; what there is to know of it is in `note`, for the processes of scenarios."""

    def __init__(self, path):
        self.path = Path(path)
        self.note = self.path.with_suffix(".inside")
        self.holder = None

    def mount(self, size):
        """Makes it, `size` as mount wants it (16m)."""
        self.path.mkdir()
        refusals = []
        for begin, enter in WAYS:
            # It ends with this process, whatever becomes of that: cat reads from it.
            holder = subprocess.Popen(
                [*begin, "sh", "-c", MOUNT, "sh", size, self.path], start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            if holder.stdout.readline() == "mounted\n":
                self.holder = holder
                self.note.write_text(" ".join([*enter, "--target", str(holder.pid), "--"]))
                return
            refusals.append(f"{' '.join(begin)}: {holder.communicate()[1].strip()}")
        raise DiskError(
            "this machine lets nobody mount a small file system: allow user namespaces, or run as root with the right to mount"
            f" (CAP_SYS_ADMIN); {'; '.join(refusals)}"
        )

    def inside(self):
        """The words before a command that let it see the file system."""
        return self.note.read_text().split(" ")

    def change(self, how):
        """`read-only`, `writable`, or another size."""
        # A file system with files that are open for writing cannot be remounted read-only; what lies over it can: whoever opens
        # or makes a file comes to that one.
        ways = {
            "read-only": [["mount", "--bind", self.path, self.path], ["mount", "-o", "remount,bind,ro", self.path]],
            "writable": [["mount", "-o", "remount,bind,rw", self.path]],
        }
        for command in ways.get(how, [["mount", "-o", f"remount,size={how}", self.path]]):
            self.run(*command)

    def release(self, copy):
        """Leaves its contents in a directory `copy`, and is no more."""
        if self.holder and self.holder.poll() is None:
            self.run("cp", "-a", f"{self.path}/.", copy)
            self.holder.communicate("")

    def run(self, *command):
        done = subprocess.run([*self.inside(), *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DiskError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
