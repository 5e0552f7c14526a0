"""This machine: what it is, its page cache, and how a command is run and timed on it."""

import dataclasses
import errno
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

BENCHMARKS = pathlib.Path(__file__).resolve().parent.parent
PROJECT = BENCHMARKS.parent
MIB = 1 << 20
CORES = len(os.sched_getaffinity(0))


class Failure(Exception):
    """The measurement means nothing: said on standard error, status 2."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def is_root():
    return os.geteuid() == 0


@dataclasses.dataclass
class Run:
    """One run of a command, its children included; memory is that of the largest process."""

    seconds: float
    read: int  # bytes from the device
    peak: int  # bytes of memory
    output: str


class Stopwatch:
    """Runs commands, each in a directory of its own that is then removed."""

    def __init__(self, scratch):
        self.scratch = str(scratch)
        self.timed = compiled("timed", self.scratch)

    def __call__(self, argv, statuses=(0,)):
        """`argv` is a function of the fresh directory. A status that is not expected is a failure:
        a tool that did not do its work is not fast."""
        place = tempfile.mkdtemp(dir=self.scratch)
        words = [str(word) for word in argv(place)]
        with tempfile.TemporaryFile(dir=self.scratch) as out, \
                tempfile.TemporaryFile(dir=self.scratch) as err:
            subprocess.run(
                [self.timed, f"{place}.timed", *words], stdin=subprocess.DEVNULL, stdout=out,
                stderr=err)
            report = pathlib.Path(f"{place}.timed")
            out.seek(0)
            err.seek(0)
            output = out.read().decode(errors="replace")
            if not report.exists():
                raise Failure(f"{words[0]} cannot be run")
            took = json.loads(report.read_text())
            report.unlink()
            if took["status"] not in statuses:
                tail = (output + err.read().decode(errors="replace"))[-2000:]
                raise Failure(f"{' '.join(words)}: status {took['status']}\n{tail}")
        shutil.rmtree(place)
        return Run(took["seconds"], took["read"], took["peak"], output)


def compiled(name, folder):
    """The C program of this name, made anew in the folder."""
    program = os.path.join(folder, name)
    source = BENCHMARKS / "limits" / f"{name}.c"
    try:
        subprocess.run(
            ["cc", "-O2", "-Wall", "-Werror", "-pthread", "-o", program, source, "-lcrypto"],
            check=True, stdout=sys.stderr)
    except FileNotFoundError:
        raise Failure("there is no C compiler: Debian's gcc") from None
    return program


def drop_caches():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


def fill_cache(paths):
    """Has everything below the paths read once; holes would only push out what is to stay."""
    found = subprocess.run(
        ["find", *map(str, paths), "-type", "f", "-size", "+0", "-printf", "%S %p\\0"],
        stdout=subprocess.PIPE, check=True).stdout
    whole = []
    for entry in found.split(b"\0")[:-1]:
        sparseness, name = entry.split(b" ", 1)
        if float(sparseness) < 0.5:
            read_data(name)
        else:
            whole.append(name)
    subprocess.run(
        ["xargs", "-0", "-r", "-P", str(CORES), "-n", "256", "cat"],
        input=b"\0".join(whole), stdout=subprocess.DEVNULL, check=True)


def read_data(name):
    with open(name, "rb", buffering=0) as file:
        at, buffer = 0, bytearray(MIB)
        while True:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            while at < end:
                count = os.preadv(file.fileno(), [memoryview(buffer)[:end - at]], at)
                if count == 0:
                    return
                at += count


def size_of(*stores):
    """Files below the stores, their bytes, and the bytes that are allocated for them."""
    files = size = allocated = 0
    for store in map(str, stores):
        if os.path.isfile(store):
            names = [store]
        else:
            names = (
                os.path.join(directory, name)
                for directory, _, inside in os.walk(store) for name in inside)
        for name in names:
            status = os.lstat(name)
            files += 1
            size += status.st_size
            allocated += status.st_blocks * 512
    return files, size, allocated


def first(path, pattern):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text())
    except OSError:
        return "?"
    return found.group(1).strip() if found else "?"


def hardware(directory):
    """What the figures depend on, for a directory on the storage that was measured."""
    memory = int(first("/proc/meminfo", r"MemTotal:\s+(\d+)")) / 1024 / 1024
    mount = subprocess.run(
        ["findmnt", "-no", "FSTYPE,SOURCE", "-T", str(directory)], capture_output=True,
        text=True).stdout.split()
    caches = subprocess.run(
        ["lscpu", "--caches=NAME,ALL-SIZE"], capture_output=True, text=True).stdout
    return {
        "processor": first("/proc/cpuinfo", r"model name\s*:(.*)"),
        "cores": CORES,
        "memory_gib": round(memory),
        "caches": " ".join(caches.split()[2:]),
        "kernel": platform.release(),
        "storage": " on ".join(mount),
        "pages_out": pages_out(),
    }


def pages_out():
    """Whether this kernel pages out what was not used for a while (DAMON)."""
    states = pathlib.Path("/sys/kernel/mm/damon/admin/kdamonds").glob("*/state")
    return any(path.read_text().strip() == "on" for path in states)


def machine_name():
    """A short name for a folder: processor and cores, nothing that tells where it stands."""
    processor = first("/proc/cpuinfo", r"model name\s*:(.*)").lower()
    words = re.findall(r"[a-z0-9]+", re.sub(r"\(r\)|\(tm\)|cpu|processor|@.*", "", processor))
    return "-".join(words[:3] + [f"{CORES}c"])
