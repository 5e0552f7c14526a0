"""The tools that are compared, each with the settings that serve it best."""

import dataclasses
import re
import shutil
import subprocess

from .machine import CORES

PACKAGES = [
    "b3sum", "diffutils", "coreutils", "fio", "hashdeep", "mtree-netbsd", "rclone", "rsync", "gcc",
    "libssl-dev"]


@dataclasses.dataclass
class Tool:
    """A command to run; `argv` gets a fresh directory to write in."""

    name: str
    argv: object
    program: str = ""  # empty for our own
    package: str = ""
    target: float | None = None  # the most that our time may be of its time
    drops_cache: bool = False  # of what it has read: its warm runs begin warm, and no more
    statuses: tuple = (0,)
    seconds: object = None  # from what it printed; None for those of the whole process
    is_limit: bool = False  # shows what the machine can do, and competes with nobody

    def is_missing(self):
        return bool(self.program) and shutil.which(self.program) is None

    def differing(self):
        """The same on stores that differ, which most tell by status 1."""
        status = 0 if self.program == "rsync" else 1
        return dataclasses.replace(self, statuses=(status,))


def version(program):
    """What a tool says of itself, without its name; Debian's word for those that are silent."""
    if program == "mtree":
        asked = ["dpkg-query", "-W", "-f", "${Version}", "mtree-netbsd"]
    else:
        words = {"rclone": "version", "openssl": "version", "hashdeep": "-V"}
        asked = [program, words.get(program, "--version")]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    found = re.search(r"\d+(\.\d+)+[-\w]*|\d{6,}", answer.stdout + answer.stderr)
    return found.group() if found else "?"


def versions():
    programs = ["b3sum", "cmp", "diff", "fio", "hashdeep", "mtree", "openssl", "rclone", "rsync",
                "sha256sum", "xargs"]
    found = {program: version(program) for program in programs}
    return {program: text for program, text in found.items() if text}


def diff(a, b, target=None):
    argv = ["diff", "-rq", "--no-dereference", a, b]  # a link may lead round in circles
    return Tool("diff -rq", lambda _: argv, "diff", "diffutils", target)


def rsync(a, b, flags="-rlcn", target=None):
    return Tool(
        f"rsync {flags}", lambda _: ["rsync", flags, f"{a}/", f"{b}/"], "rsync", "rsync", target)


def rclone(a, b, checkers, target=None):
    return Tool(
        f"rclone check, {checkers} checkers",
        lambda _: ["rclone", "check", a, b, "--checkers", checkers], "rclone", "rclone", target,
        drops_cache=True)


LISTS = """
set -o pipefail
list() {{ cd "$1" && find . -type f -print0 | xargs -0 {xargs} {program} | LC_ALL=C sort > "$2"; }}
(list "$1" "$3/a") & a=$!
(list "$2" "$3/b") & b=$!
wait $a && wait $b && cmp -s "$3/a" "$3/b"
"""


def lists(a, b, program="b3sum", package="b3sum", xargs="", target=None):
    """A list of digests for each side, both at once, and then compared."""
    words = program if not xargs else f"{program}, xargs {xargs}"
    script = LISTS.format(xargs=xargs, program=program)
    return Tool(
        f"two lists, {words}", lambda place: ["bash", "-c", script, "lists", a, b, place],
        program.split()[0], package, target)


def wide_b3sum(a, b, target=None):
    tool = lists(a, b, "b3sum --num-threads 1", xargs="-P64 -n64", target=target)
    tool.name = "two lists, xargs -P64 b3sum"
    return tool


def sha256sum(a, b):
    return lists(a, b, "sha256sum", "coreutils")


def hashdeep(a, b):
    script = ('cd "$1" && hashdeep -c sha256 -r -l . > "$3/known" && cd "$2" && '
              'hashdeep -c sha256 -r -l -a -k "$3/known" .')
    return Tool(
        "hashdeep, then audit", lambda place: ["bash", "-c", script, "hashdeep", a, b, place],
        "hashdeep", "hashdeep")


def mtree(a, b):
    script = 'mtree -c -K sha256digest -p "$1" > "$3/spec" && mtree -f "$3/spec" -p "$2" > "$3/out"'
    return Tool(
        "mtree, then check", lambda place: ["bash", "-c", script, "mtree", a, b, place], "mtree",
        "mtree-netbsd", statuses=(0, 2))


def one_list(a, program, package, xargs):
    script = f'cd "$1" && find . -type f -print0 | xargs -0 {xargs} {program} > "$2/list"'
    name = f"{program}, xargs {xargs}" if xargs else program
    return Tool(
        name, lambda place: ["bash", "-c", script, "list", a, place], program, package)


def one_hashdeep(a):
    script = 'cd "$1" && hashdeep -c sha256 -r -l . > "$2/known"'
    return Tool(
        "hashdeep", lambda place: ["bash", "-c", script, "hashdeep", a, place], "hashdeep",
        "hashdeep")


def one_mtree(a):
    script = 'mtree -c -K sha256digest -p "$1" > "$2/spec"'
    return Tool(
        "mtree -c", lambda place: ["bash", "-c", script, "mtree", a, place], "mtree",
        "mtree-netbsd")


def b3sum(files, target=None):
    return Tool("b3sum", lambda _: ["b3sum", *files], "b3sum", "b3sum", target)


def cmp(pairs):
    """Each pair of files; as many at once as there are cores."""
    names = [name for pair in pairs for name in pair]
    script = f'printf "%s\\0" "$@" | xargs -0 -n2 -P{CORES} cmp -s'
    return Tool("cmp", lambda _: ["bash", "-c", script, "cmp", *names], "cmp", "diffutils")
