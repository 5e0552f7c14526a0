"""Changes files of a folder at random until it is asked to end (SIGTERM), as a service does that
knows nothing of whoever else changes them.

    writer.py FOLDER TRASH LOG SEED OPERATIONS_PER_SECOND

The log has a line for each version that it wrote, and for each that it overwrote: the SHA-256 of
all bytes of the file. What it deletes or replaces is moved to the trash, so that it is known which
object that really was.
"""
import ctypes
import hashlib
import mmap
import os
import random
import signal
import sys
import time

EXCHANGE = 2
libc = ctypes.CDLL(None, use_errno=True)


class Writer:
    def __init__(self, folder, trash, log, seed):
        self.folder, self.trash, self.log = folder, trash, log
        self.random = random.Random(seed)
        self.seed = seed
        self.names = sorted(
            os.path.join(below, name) for below, _, names in os.walk(folder) for name in names
            if ".resync" not in below + name
        )
        self.count = 0

    def note(self, word, content):
        self.log.write(f"{word} {hashlib.sha256(content).hexdigest()}\n")

    def stamp(self):
        self.count += 1
        return f"<{self.count} {self.random.getrandbits(64):x}>".encode()

    def content(self, file):
        return os.pread(file, 1 << 24, 0)

    def in_place(self, path, change):
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            before = self.content(file)
            change(file, before)
            self.note("overwrote", before)
            self.note("wrote", self.content(file))
        finally:
            os.close(file)

    def append(self, path):
        stamp = self.stamp()
        self.in_place(path, lambda file, before: os.pwrite(file, stamp, len(before)))

    def rewrite(self, path):
        stamp = self.stamp()

        def change(file, before):
            os.pwrite(file, stamp, self.random.randrange(max(1, len(before))))

        self.in_place(path, change)

    def mapped(self, path):
        stamp = self.stamp()

        def change(file, before):
            if len(before) < 100:
                os.pwrite(file, stamp, 0)
                return
            with mmap.mmap(file, len(before)) as memory:
                at = self.random.randrange(len(before) - len(stamp))
                memory[at:at + len(stamp)] = stamp

        self.in_place(path, change)

    def made(self):
        path = os.path.join(self.trash, f"new-{self.seed}-{self.count}")
        content = self.stamp() * self.random.randrange(1, 200)
        with open(path, "xb") as file:
            file.write(content)
        self.note("wrote", content)
        return path

    def replace(self, path):
        """The new file takes the place of whatever stands there, which goes to the trash."""
        new = self.made()
        result = libc.renameat2(-100, os.fsencode(new), -100, os.fsencode(path), EXCHANGE)
        if result != 0:
            os.rename(new, f"{new}-unused")

    def create(self, path):
        new = self.made()
        try:
            os.link(new, path)
        except OSError:
            return
        os.unlink(new)

    def mode(self, path):
        os.chmod(path, self.random.choice([0o600, 0o640, 0o644, 0o664]))

    def delete(self, path):
        self.count += 1
        os.rename(path, os.path.join(self.trash, f"deleted-{self.seed}-{self.count}"))

    def step(self):
        act = self.random.choice(
            [self.append, self.append, self.rewrite, self.mapped, self.replace, self.create,
             self.mode, self.delete]
        )
        try:
            act(self.random.choice(self.names))
        except OSError:
            pass


def main():
    folder, trash, log, seed, rate = sys.argv[1:]
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    with open(log, "w", buffering=1 << 20) as file:
        writer = Writer(folder, trash, file, int(seed))
        print("ready", flush=True)
        start, steps = time.monotonic(), 0
        while not ending:
            writer.step()
            steps += 1
            ahead = start + steps / float(rate) - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
    print(f"{steps} changes", flush=True)


main()
