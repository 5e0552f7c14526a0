"""How time and memory grow, how many workers help, and what each digest costs."""

import math
import os
import statistics

from . import tools
from .limits import DIGESTS
from .machine import MIB, drop_caches, fill_cache, say, size_of
from .session import Figure, benchmark
from .turns import Sample, Spread, warm_run

WORKERS = [1, 2, 4, 8, 16, 32, 64, 128]


def exponent(points):
    """Of the power law through these points: the slope of the least squares line through their
    logarithms."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = (statistics.fmean(column) for column in zip(*logs))
    over = sum((x - mean_x) * (y - mean_y) for x, y in logs)
    return over / sum((x - mean_x) ** 2 for x, _ in logs)


def measured(session, result, cache, tool, label, count, stores, size):
    """Seconds and peak memory of so many runs over `size` bytes in `stores`, after a warm-up where
    the cache is warm."""
    runs = []
    if cache == "warm":
        fill_cache(stores)
    for turn in range(0 if cache == "warm" else 1, count + 1):
        if cache == "cold":
            drop_caches()
            done = session.stopwatch(tool.argv, tool.statuses)
        else:
            done = warm_run(session.stopwatch, tool, stores, size)
        if turn:
            runs.append(done)
            result.samples.append(Sample(
                result.benchmark, cache, label, turn, done.seconds, done.read, done.peak))
    seconds = Spread.of(run.seconds for run in runs)
    peak = max(run.peak for run in runs)
    say(f"  {label}: {seconds.median:.2f} s, {peak / MIB:.1f} MiB")
    session.note_commands(result.benchmark, cache, [tool])
    return seconds, peak


@benchmark
def growth(session):
    """N, 2N, 4N and 8N entries (parts of small) and bytes (parts of big): time and peak memory,
    with the exponent of the power law through them."""
    result = session.begin("growth")
    count = min(session.runs, 3)
    for workload, unit in (("small", "entries"), ("big", "bytes")):
        points = []
        for part in (0.125, 0.25, 0.5, 1):
            a, b = session.workloads.stores(workload, part)
            files, size, _ = size_of(a, b)
            amount = files if unit == "entries" else size
            seconds, peak = measured(
                session, result, "warm", session.verify(a, b), f"{unit} {amount}", count, [a, b],
                size)
            points.append((amount, seconds, peak))
        time = exponent([(amount, seconds.median) for amount, seconds, _ in points])
        memory = exponent([(amount, peak) for amount, _, peak in points])
        result.series.append({
            "kind": "growth", "unit": unit, "exponent_time": time, "exponent_memory": memory,
            "points": [
                {"amount": amount, "seconds": vars(seconds), "peak": peak}
                for amount, seconds, peak in points]})
        # What a start costs makes the least times too long, and so the exponent small.
        result.figures += [
            Figure(f"growth with {unit}, exponent of time", time, time, time, "lower"),
            Figure(f"growth with {unit}, memory of 8N by N", *[points[-1][2] / points[0][2]] * 3,
                   "lower")]


@benchmark
def planning(session):
    """Peak memory of planning for 1000 and for 1 000 000 differences: so many names of huge, beside
    an empty store."""
    result = session.begin("planning")
    empty = os.path.join(session.scratch, "empty")
    os.mkdir(empty)
    peaks = []
    for part in (0.001, 1):
        a, _ = session.workloads.stores("huge", part)
        state = os.path.join(session.scratch, f"planning-{part}")
        session.stopwatch(
            lambda _: [session.binary, "verify", "--state", state, "-q", a, empty], statuses=(1,))
        tool = tools.Tool("resync plan", lambda place: [
            session.binary, "plan", "last", "--state", state, "--authority", "a", "-o",
            f"{place}/plan"])
        # It reads no store.
        _, peak = measured(session, result, "warm", tool, f"huge times {part}", 1, [], 1 << 40)
        peaks.append(peak)
    more = (peaks[1] - peaks[0]) / MIB
    result.figures.append(Figure(
        "memory, planning for all of huge, more than for a thousandth", more, more, more, "lower",
        64, "MiB"))


@benchmark
def workers(session):
    """1 to 128 workers, warm and cold, on a quarter of small and of big; and what is chosen where
    nothing is said."""
    result = session.begin("workers")
    for workload in ("small", "big"):
        a, b = session.workloads.stores(workload, 0.25)
        _, size, _ = size_of(a, b)
        for cache in session.caches:
            points = []
            count = min(session.runs, 3) if cache == "warm" else 1
            for number in [None, *(WORKERS[::3] if session.is_small else WORKERS)]:
                words = [] if number is None else ["--workers", str(number)]
                label = f"{workload}, {number or 'default'} workers"
                seconds, peak = measured(
                    session, result, cache, session.verify(a, b, *words), label, count, [a, b],
                    size)
                points.append({"workers": number, "seconds": vars(seconds), "peak": peak})
            best = min(point["seconds"]["median"] for point in points[1:])
            chosen = points[0]["seconds"]["median"]
            result.series.append({
                "kind": "workers", "workload": workload, "cache": cache, "points": points})
            ratio = chosen / best
            result.figures.append(Figure(
                f"workers, {workload} {cache}, default by the best number", ratio, ratio, ratio,
                "lower"))


@benchmark
def digests(session):
    """big, half of it, under each digest, beside OpenSSL's own speed on all cores."""
    result = session.begin("digests")
    a, b = session.workloads.stores("big", 0.5)
    _, size, _ = size_of(a, b)
    memory = session.limits.memory(a, b)
    for name in DIGESTS:
        tool = session.verify(a, b, "--digest", name)
        wall = session.limits.digest(name, size)
        session.compare(
            result, "warm", tool, [], [a, b], size, limits=[memory, wall],
            bound=lambda seconds, wall=wall: {f"memory and {name} walls": {
                turn: took + seconds(wall)[turn] for turn, took in seconds(memory).items()}})


@benchmark
def memory(session):
    """Peak memory of small, and of ten times the files, both cold: that wants more workers, each
    with its buffers."""
    result = session.begin("memory")
    if "cold" not in session.caches:
        result.notes.append("not measured, only root may empty the page cache")
        return
    peaks = []
    for part in (1, 10):
        a, b = session.workloads.stores("small", part)
        _, peak = measured(
            session, result, "cold", session.verify(a, b), f"small times {part}", 1, [a, b], 0)
        peaks.append(peak)
    ratio = peaks[1] / peaks[0]
    mib = peaks[0] / MIB
    result.figures += [
        Figure("memory, small", mib, mib, mib, "lower", 64, "MiB"),
        Figure("memory, ten times the files by small", ratio, ratio, ratio, "lower", 1.2)]
