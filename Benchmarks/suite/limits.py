"""What binds a verifier on this machine, measured beside it: the device, the memory, the system
calls, the digest."""

import dataclasses
import json

from .machine import CORES, Failure, compiled, drop_caches, say
from .tools import Tool

DIGESTS = ["gmac", "sha256", "sha512-256"]
DEPTHS = [1, 16, 64]


@dataclasses.dataclass
class Device:
    """What fio reads from the device: bytes a second, and reads of 4 KiB a second by depth."""

    sequential: float
    engine: str
    depth: int
    random: dict


class Limits:
    def __init__(self, stopwatch, seconds):
        """`seconds` is how long each open-ended measurement takes."""
        self.stopwatch = stopwatch
        self.seconds = seconds
        self.program = compiled("limits", stopwatch.scratch)
        self.found = None

    def floor(self, *stores):
        """Opens, stats, reads and closes every file, a thread for each core."""
        return self.tool("system-call floor", "floor", CORES, *stores)

    def stat(self, *stores):
        """Stats every file, a thread for each core."""
        return self.tool("stat floor", "stat", CORES, *stores)

    def memory(self, *stores):
        """Copies every byte from the page cache into a buffer that fits a processor's cache."""
        return self.tool("memory wall", "memory", CORES, *stores)

    def digest(self, name, size):
        """Digests so many bytes of a buffer that fits a processor's cache."""
        def seconds(output):
            answer = json.loads(output)
            return size * answer["seconds"] / answer["bytes"]
        words = [self.program, "digest", name, str(CORES), str(self.seconds / 4)]
        return Tool(f"digest wall, {name}", lambda _: words, seconds=seconds, is_limit=True)

    def tool(self, name, *words):
        argv = [self.program, *map(str, words)]
        return Tool(
            name, lambda _: argv, seconds=lambda output: json.loads(output)["seconds"],
            is_limit=True)

    def ask(self, *words):
        return json.loads(self.stopwatch(lambda _: [self.program, *map(str, words)]).output)

    # The device

    def device(self, files):
        """Measured once, on files whose bytes are no holes."""
        if self.found:
            return self.found
        say("the device")
        rates = {}
        for engine, depth in [("psync", 1), ("libaio", 16), ("io_uring", 16)]:
            try:
                rates[engine, depth] = self.rate(self.sequential_argv(files, engine, depth))
            except Failure as failure:
                # Not every kernel offers every engine.
                say(f"  fio {engine} {depth}: {str(failure).splitlines()[-1]}")
                continue
            say(f"  fio {engine} {depth}: {rates[engine, depth] / 1e6:.0f} MB/s")
        if not rates:
            raise Failure("fio could not read the files with any engine")
        engine, depth = max(rates, key=rates.get)
        wide = engine if engine != "psync" else "libaio"
        random = {}
        for depth_wanted in DEPTHS:
            argv = self.random_argv(files, wide, depth_wanted)
            random[depth_wanted] = self.rate(argv) / 4096
            say(f"  fio random, depth {depth_wanted}: {random[depth_wanted]:.0f} reads/s")
        self.found = Device(rates[engine, depth], engine, depth, random)
        return self.found

    def fio(self, files, size):
        """The device's best sequential rate as a tool among others, its start left out."""
        best = self.device(files)
        argv = self.sequential_argv(files, best.engine, best.depth)
        return Tool(
            "device, sequential", lambda _: argv, "fio", "fio",
            seconds=lambda output: size / self.bandwidth(output), is_limit=True)

    def rate(self, argv):
        drop_caches()
        return self.bandwidth(self.stopwatch(lambda _: argv).output)

    @staticmethod
    def bandwidth(output):
        # Warnings may stand before the report.
        return json.loads(output[output.index("{"):])["jobs"][0]["read"]["bw_bytes"]

    @staticmethod
    def base_argv(files, engine, depth):
        names = ":".join(name.replace(":", "\\:") for name in files)
        return [
            "fio", "--name=read", f"--filename={names}", "--direct=1", "--readonly",
            f"--ioengine={engine}", f"--iodepth={depth}", "--output-format=json"]

    def sequential_argv(self, files, engine, depth):
        return self.base_argv(files, engine, depth) + [
            "--rw=read", "--bs=1M", "--file_service_type=sequential"]

    def random_argv(self, files, engine, depth):
        return self.base_argv(files, engine, depth) + [
            "--rw=randread", "--bs=4k", f"--runtime={self.seconds}", "--time_based",
            "--norandommap", "--randseed=1"]
