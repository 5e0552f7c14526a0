"""What a verification does to the page cache of its neighbours."""

import contextlib
import os
import pathlib

from . import tools
from .machine import MIB, Failure, drop_caches, is_root, say
from .session import Figure, benchmark


@contextlib.contextmanager
def memory_group(limit):
    """A function that puts a command into a new memory cgroup of so many bytes; None where this
    machine has none to give."""
    v2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
    v1 = pathlib.Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
    name = f"resync-bench-{os.getpid()}"
    if v2.exists() and "memory" in v2.read_text().split():
        group, file, version = v2.parent / name, "memory.max", 2
        with contextlib.suppress(OSError):
            (v2.parent / "cgroup.subtree_control").write_text("+memory")
    elif v1.exists():
        group, file, version = v1.parent / name, "memory.limit_in_bytes", 1
    else:
        yield None, 0
        return
    try:
        group.mkdir()
        (group / file).write_text(str(limit))
    except OSError as error:
        say(f"  no memory cgroup: {error}")
        with contextlib.suppress(OSError):
            group.rmdir()
        yield None, 0
        return

    def inside(words):
        script = f'echo $$ > "{group}/cgroup.procs" && exec "$@"'
        return ["sh", "-c", script, "inside", *words]

    try:
        yield inside, version
    finally:
        # Pages stay charged to a group that is gone until somebody drops them.
        drop_caches()
        group.rmdir()


@benchmark
def pagecache(session):
    """big, cold, in one memory cgroup with a bystander's file of half its limit, which was read
    three times and lies idle: what of that file is still cached afterwards, and what of the store
    came into the cache. diff -rq beside it, which reads like any program."""
    result = session.begin("pagecache")
    limit = (192 if session.is_small else 2048) * MIB
    if not is_root():
        result.notes.append("skipped: only root may make a memory cgroup")
        say("  skipped: only root may make a memory cgroup")
        return
    a, b = session.workloads.stores("big")
    hot = os.path.join(session.scratch, "hot")
    with open(hot, "wb") as file:
        for _ in range(limit // 2 // MIB):
            file.write(os.urandom(MIB))
    rivals = [session.verify(a, b), tools.diff(a, b)]
    shares = {tool.name: ([], []) for tool in rivals}
    for _ in range(min(session.runs, 3)):
        for tool in rivals:
            found = once(session, tool, limit, hot, [a, b])
            if found is None:
                result.notes.append("skipped: this machine gives no memory cgroup")
                say("  skipped: this machine gives no memory cgroup")
                return
            version, kept, came = found
            shares[tool.name][0].append(kept)
            shares[tool.name][1].append(came)
            say(f"  {tool.name}: {kept:.1%} of the bystander's file stay, "
                f"{came:.1%} of the store came")
    result.notes.append(f"cgroup v{version}, {limit // MIB} MiB; residency by mincore")
    for tool in rivals:
        is_ours = tool is rivals[0]
        kept, came = shares[tool.name]
        result.figures += [
            Figure.of(f"page cache, {tool.name}, share of a bystander's hot file that stays",
                      kept, "higher", 0.90 if is_ours else None),
            Figure.of(f"page cache, {tool.name}, share of the store's other pages that came",
                      came, "lower", 0.02 if is_ours else None)]
    os.remove(hot)


def once(session, tool, limit, hot, stores):
    """What share of the hot file stays, and what share of the store's pages that were not cached
    came; None without a cgroup."""
    ask = session.limits.ask
    with memory_group(limit) as (inside, version):
        if inside is None:
            return None
        drop_caches()
        for _ in range(3):
            session.stopwatch(lambda _: inside(["sh", "-c", f'cat "{hot}" > /dev/null']))
        before = ask("resident", f"{session.scratch}/hot.map", hot)
        if before["resident"] < before["pages"] * 0.99:
            raise Failure("the bystander's file does not fit its cgroup")
        ask("resident", f"{session.scratch}/store.map", *stores)
        session.stopwatch(lambda place: inside(tool.argv(place)), tool.statuses)
        kept = ask("came", f"{session.scratch}/hot.map", hot)
        store = ask("came", f"{session.scratch}/store.map", *stores)
    return (version, kept["resident"] / kept["pages"],
            store["came"] / max(1, store["pages"] - store["were"]))
