"""The stores that are measured: made from a seed by `resync-bench`, once, and kept."""

import os
import pathlib
import subprocess
import sys
import time

from .machine import PROJECT, Failure, say

# How much of each workload, and of which tree, a scale has.
SCALES = {
    "full": {
        "small": 1, "big": 1, "sparse": 1, "huge": 1, "deep": 1, "nightly": 1, "divergent": 1},
    "small": {
        "small": 0.05, "big": 0.0625, "sparse": 0.03, "huge": 0.02, "deep": 0.1,
        "nightly": 0.05, "divergent": 0.1},
}
TREES = {"full": "/usr", "small": "/usr/include"}


class Workloads:
    """The folder of the stores, and what makes them."""

    def __init__(self, folder, scale, generator):
        self.folder = pathlib.Path(folder).resolve()
        self.scale = scale
        self.generator = generator
        self.folder.mkdir(parents=True, exist_ok=True)

    def stores(self, workload, part=1.0):
        """The two sides of this part of a workload, made if need be."""
        scale = SCALES[self.scale].get(workload, 1) * part
        directory = self.folder / self.name(workload, scale)
        words = [self.generator, "generate", workload, str(directory)]
        words += (["--source", TREES[self.scale]] if workload == "tree"
                  else ["--scale", str(scale)])
        stamp = directory / "stamp"
        if not stamp.exists():
            say(f"making {directory.name}")
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        # Digests of files that have just changed are not kept: a second of a file's clock may hold
        # two of its states.
        time.sleep(max(0.0, 3.0 - (time.time() - stamp.stat().st_mtime)))
        return str(directory / "a"), str(directory / "b")

    def name(self, workload, scale):
        if workload == "tree":
            return f"tree-{pathlib.Path(TREES[self.scale]).name}"
        return workload if scale == 1 else f"{workload}-x{scale:g}"


def change_tonight(a, b, night):
    """One file of 1000 gets other bytes under its size, the same on both sides."""
    for directory in sorted(os.listdir(a))[::2]:
        path = os.path.join(directory, "f123")
        size = os.path.getsize(os.path.join(a, path))
        line = f"{path} in night {night}\n".encode()
        moment = time.time_ns()
        for side in (a, b):
            name = os.path.join(side, path)
            with open(name, "r+b") as file:
                file.write((line * (size // len(line) + 1))[:size])
            # Replication keeps the times of what it copies.
            os.utime(name, ns=(moment, moment))


def build(binary):
    """Paths of resync and of the generator, built as releases where need be."""
    # Scripts/resync knows what a build needs, and installs it where it may.
    if not binary:
        subprocess.run([PROJECT / "Scripts" / "resync", "--version"], check=True,
                       stdout=subprocess.DEVNULL)
    environment = dict(os.environ)
    if os.path.exists("/opt/swift/usr/bin/swift"):
        environment["PATH"] += ":/opt/swift/usr/bin"
    words = ["swift", "build", "-c", "release", "--package-path", str(PROJECT)]
    try:
        subprocess.run(words + ["--product", "resync-bench"], check=True, stdout=sys.stderr,
                       env=environment)
        shown = subprocess.run(
            words + ["--show-bin-path"], check=True, capture_output=True, text=True,
            env=environment).stdout.strip()
    except FileNotFoundError:
        raise Failure("no Swift toolchain found") from None
    program = os.path.abspath(binary) if binary else os.path.join(shown, "resync")
    return program, os.path.join(shown, "resync-bench")
