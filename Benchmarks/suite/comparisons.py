"""Whole commands on the workloads, ours beside what people use."""

import json
import os

from . import tools
from .machine import CORES, size_of
from .session import Figure, benchmark
from .turns import pairs, seconds_of
from .workloads import change_tonight


def files_of(*sides):
    return [os.path.join(side, name) for side in sides for name in sorted(os.listdir(side))]


def device_bound(session, files, allocated):
    """What the device needs at least: all bytes in one go, or a read for each file."""
    device = session.quiet_device()
    if not device:
        return None
    limits = {"device, sequential": session.constant(allocated / device.sequential)}
    if files > 100:
        depth = max(device.random)
        limits[f"device, 4 KiB at depth {depth}"] = session.constant(
            files / device.random[depth])
    return lambda _: limits


def cold(session, result, *arguments, allocated, files, **options):
    if "cold" in session.caches:
        options["bound"] = device_bound(session, files, allocated)
    return session.compare(result, "cold", *arguments, **options)


@benchmark
def small(session):
    """400 000 files of 1 to 8 KiB in two stores. Bound by system calls when warm, by the device's
    small reads when cold."""
    result = session.begin("small")
    a, b = session.workloads.stores("small")
    files, size, allocated = size_of(a, b)
    verify = session.verify(a, b)
    floor = session.limits.floor(a, b)
    rivals = [
        tools.diff(a, b, 0.65), tools.rsync(a, b, target=1 / 12),
        tools.lists(a, b, target=0.55), tools.wide_b3sum(a, b), tools.sha256sum(a, b),
        tools.hashdeep(a, b), tools.mtree(a, b), tools.rclone(a, b, 8, 1 / 12),
        tools.rclone(a, b, 64)]
    session.compare(
        result, "warm", verify, rivals, [a, b], size, limits=[floor],
        bound=lambda seconds: {"system-call floor": seconds(floor)})
    mine, theirs = (seconds_of(result.samples, tool.name) for tool in (verify, floor))
    result.figures.append(Figure.of(
        "small warm, times the system-call floor", pairs(mine, theirs), "lower", 1.40))
    rivals = [
        tools.diff(a, b), tools.rsync(a, b), tools.lists(a, b), tools.wide_b3sum(a, b),
        tools.rclone(a, b, 64)]
    cold(session, result, verify, rivals, [a, b], size, allocated=allocated, files=files,
         best_target=0.35)


@benchmark
def big(session):
    """8 files of 1 GiB in two stores. Bound by memory and digest when warm, by the device's long
    reads when cold."""
    result = session.begin("big")
    a, b = session.workloads.stores("big")
    names = files_of(a, b)
    files, size, allocated = size_of(a, b)
    verify = session.verify(a, b)
    memory = session.limits.memory(a, b)
    digest = session.limits.digest("gmac", size)
    pairs_of_files = list(zip(files_of(a), files_of(b)))
    rivals = [
        tools.b3sum(names, 1.0), tools.cmp(pairs_of_files), tools.diff(a, b), tools.rsync(a, b)]

    def walls(seconds):
        copied, digested = seconds(memory), seconds(digest)
        return {"memory and digest walls": {t: copied[t] + digested[t] for t in copied}}

    found = session.compare(
        result, "warm", verify, rivals, [a, b], size, limits=[memory, digest], bound=walls)
    result.figures.append(Figure(
        "big warm, share of 1/(1/m+1/d)", found.share.median, found.share.low, found.share.high,
        "higher", 0.80))
    if "cold" not in session.caches or tools.Tool("fio", None, "fio", "fio").is_missing():
        result.notes.append("cold: needs root and fio")
        return
    fio = session.limits.fio(names, allocated)
    rivals = [tools.cmp(pairs_of_files), tools.diff(a, b), tools.b3sum(names)]
    found = session.compare(
        result, "cold", verify, rivals, [a, b], size, limits=[fio],
        bound=lambda seconds: {"device, sequential": seconds(fio)})
    result.figures.append(Figure(
        "big cold, share of the device's rate", found.share.median, found.share.low,
        found.share.high, "higher", 0.9))


@benchmark
def tree(session):
    """Two copies of a directory that every machine has: many small files, some large ones,
    symlinks."""
    result = session.begin("tree")
    a, b = session.workloads.stores("tree")
    files, size, allocated = size_of(a, b)
    verify = session.verify(a, b)
    floor, digest = session.limits.floor(a, b), session.limits.digest("gmac", size)

    def limits(seconds):
        calls, digested = seconds(floor), seconds(digest)
        return {"system-call floor and digest wall": {t: calls[t] + digested[t] for t in calls}}

    rivals = [tools.lists(a, b, target=0.70), tools.diff(a, b), tools.rsync(a, b)]
    session.compare(
        result, "warm", verify, rivals, [a, b], size, limits=[floor, digest], bound=limits)
    cold(session, result, verify, [tools.lists(a, b)], [a, b], size, allocated=allocated,
         files=files)


@benchmark
def scan(session):
    """One side of small into a manifest, synced to the medium, beside other lists of digests."""
    result = session.begin("scan")
    a, b = session.workloads.stores("small")
    _, size, _ = size_of(a)
    ours = session.ours("resync scan", "scan", a, "-o", "PLACE/manifest", "--force")
    both = session.verify(a, b, "--digest", "sha256")
    both.target = 0.7
    floor, digest = session.limits.floor(a), session.limits.digest("sha256", size)

    def limits(seconds):
        calls, digested = seconds(floor), seconds(digest)
        return {"system-call floor and digest wall": {t: calls[t] + digested[t] for t in calls}}

    rivals = [
        both, tools.one_list(a, "sha256sum", "coreutils", f"-P{CORES} -n256"),
        tools.one_list(a, "b3sum", "b3sum", ""), tools.one_hashdeep(a), tools.one_mtree(a)]
    session.compare(
        result, "warm", ours, rivals, [a, b], size, limits=[floor, digest], bound=limits)


@benchmark
def cached(session):
    """small once more with the digests kept before: only stats are read. rsync -an does as much,
    and trusts size and mtime."""
    result = session.begin("cached")
    a, b = session.workloads.stores("small")
    with_kept(session, result, a, b, [tools.rsync(a, b, "-an", 1.0)])


@benchmark
def nightly(session):
    """200 000 files a side, of which 0.1 % changed since their digests were kept. rsync -an reads
    no content; the others read all of it."""
    result = session.begin("nightly")
    a, b = session.workloads.stores("nightly")
    rivals = [tools.rsync(a, b, "-an"), tools.rsync(a, b), tools.diff(a, b), tools.lists(a, b)]
    with_kept(session, result, a, b, rivals, change=True)


def with_kept(session, result, a, b, rivals, change=False):
    state = os.path.join(session.scratch, result.benchmark)

    def verify(*words):
        argv = [session.binary, "verify", "--state", state, *words, a, b]
        return tools.Tool(" ".join(["resync verify", *words]), lambda _: argv)

    session.stopwatch(verify("--keep").argv)
    if change:
        change_tonight(a, b, os.getpid())
    files, _, _ = size_of(a, b)
    floor = session.limits.stat(a, b)
    # Of the stores only what a walk reads, hardly more than the inodes, has to be in the cache.
    session.compare(
        result, "warm", verify("--assurance", "cached"), rivals, [a, b], 256 * files,
        limits=[floor], bound=lambda seconds: {floor.name: seconds(floor)})


@benchmark
def verdict(session):
    """nightly after an episode: the first looks, at 500 files in a hot path and at 200 that were
    touched since it began, and a gate's answer. What is looked at is read from the medium."""
    result = session.begin("verdict")
    a, b = session.workloads.stores("nightly")
    folder = os.path.join(session.scratch, "verdict")
    state, kept, config = (os.path.join(folder, name) for name in ("state", "kept", "config"))
    os.mkdir(folder)
    with open(config, "w", encoding="utf-8") as file:
        json.dump({
            "pairs": [{"name": "site", "a": a, "b": b}],
            "modules": [{"name": "m", "pair": "site", "paths": ["d0001"], "hot": ["d0001"]}],
        }, file)

    def ours(name, *words, statuses=(0,)):
        argv = [session.binary, *words, "--state", state]
        return tools.Tool(name, lambda _: argv, statuses=statuses)

    def reset():
        session.stopwatch(lambda _: ["rm", "-rf", state])
        session.stopwatch(lambda _: ["cp", "-a", kept, state])

    for words in (["verify", "site", "--config", config],
                  ["episode", "open", "site/b", "--note", "x", "--config", config]):
        session.stopwatch(ours("", *words).argv)
    change_tonight(a, b, os.getpid())
    # It is open: that is a status of 1.
    told = session.stopwatch(ours("", "episode", "list", "--json").argv, (1,)).output
    episode = json.loads(told.splitlines()[-1])["episode"]
    session.stopwatch(ours("", "episode", "close", episode, "--note", "x").argv)
    os.rename(state, kept)
    # Without a watcher the gate is undecided, and takes as long.
    for tool, target in (
            (ours("resync verify --only hot", "verify", "site", "--only", "hot", "--config",
                  config), 2),
            (ours("resync verify --only suspect", "verify", "site", "--only", "suspect", "--config",
                  config), 2),
            (ours("resync gate", "gate", "m", "--config", config, statuses=(0, 1, 2)), 0.05)):
        session.compare(
            result, "warm", tool, [], [a, b], 0, before=reset, needed=1 << 40)
        seconds = seconds_of(result.samples, tool.name).values()
        result.figures.append(Figure.of(f"verdict warm, {tool.name}", seconds, "lower", target, "s"))


@benchmark
def sparse(session):
    """Two images of 64 GiB with 1 GiB of data each, the rest holes. resync skips them; cmp reads
    them as zeros."""
    result = session.begin("sparse")
    a, b = (os.path.join(side, "image") for side in session.workloads.stores("sparse"))
    files, _, allocated = size_of(a, b)
    digest = session.limits.digest("gmac", allocated)
    session.compare(
        result, "warm", session.verify(a, b), [tools.cmp([(a, b)])], [a, b], allocated,
        limits=[digest], bound=lambda seconds: {"digest wall": seconds(digest)})
    cold(session, result, session.verify(a, b), [], [a, b], allocated, allocated=allocated,
         files=files)


@benchmark
def huge(session):
    """A directory of 1 000 000 names a side, a sixteenth of them with up to 512 bytes."""
    result = session.begin("huge")
    a, b = session.workloads.stores("huge")
    _, size, _ = size_of(a, b)
    floor = session.limits.floor(a, b)
    session.compare(
        result, "warm", session.verify(a, b), [tools.rsync(a, b), tools.diff(a, b)], [a, b],
        max(size, 64 << 20), limits=[floor],
        bound=lambda seconds: {"system-call floor": seconds(floor)})


@benchmark
def deep(session):
    """20 chains of 400 directories, one in the other, a file in each."""
    result = session.begin("deep")
    a, b = session.workloads.stores("deep")
    _, size, _ = size_of(a, b)
    rivals = [tools.rsync(a, b), tools.diff(a, b), tools.lists(a, b)]
    floor = session.limits.floor(a, b)
    session.compare(
        result, "warm", session.verify(a, b), rivals, [a, b], max(size, 64 << 20),
        limits=[floor], bound=lambda seconds: {floor.name: seconds(floor)})


@benchmark
def divergent(session):
    """100 000 files a side, of which 5 % differ, more than half of those under equal size and
    time. resync alone reads what differs twice, and past the page cache."""
    result = session.begin("divergent")
    a, b = session.workloads.stores("divergent")
    _, size, _ = size_of(a, b)
    rivals = [
        tool.differing() for tool in
        (tools.diff(a, b), tools.rsync(a, b), tools.lists(a, b), tools.rclone(a, b, 64))]
    floor = session.limits.floor(a, b)
    # Second looks come from the medium, so that even a warm run reads from the device.
    session.compare(
        result, "warm", session.verify(a, b, statuses=(1,)), rivals, [a, b], size,
        needed=1 << 40, limits=[floor], bound=lambda seconds: {floor.name: seconds(floor)})
