#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Real programs, saved with cr(1) in the middle of their work.

Each is killed, restarted from its image, and must come to the right end. A
program is started by one of the run_ functions below, in a session of its own
and in a folder that is its own; a file "ready" tells that it may be saved, and
a file "go" lets it end, which is made before the restart.
"""

import hashlib
import multiprocessing
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

PATIENCE = 60


def note(name, text=""):
    """Makes a file at once, with all that is in it."""
    with open(name + ".new", "w") as file:
        file.write(text)
    os.rename(name + ".new", name)


def await_file(name):
    end = time.monotonic() + PATIENCE
    while not os.path.exists(name):
        if time.monotonic() > end:
            raise TimeoutError(f"{name} does not appear")
        time.sleep(0.02)


class Terminal:
    """An interactive bash on a terminal."""

    def __init__(self):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ["PS1"] = "$ "
            os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
        self.text = ""

    def type(self, line, until):
        """Types a line, and waits until a text has come back since."""
        os.write(self.fd, line.encode())
        start, end = len(self.text), time.monotonic() + PATIENCE
        while until not in self.text[start:]:
            if time.monotonic() > end:
                raise TimeoutError(f"no {until!r} in {self.text[start:]!r}")
            if select.select([self.fd], [], [], 0.1)[0]:
                self.text += os.read(self.fd, 4096).decode()
        return self.text[start:]

    def jobs(self):
        answer = self.type("jobs; echo all of th''em\n", "all of them")
        return re.findall(r"\[(\d)\].\s+(\w+)\s+(.*)\r", answer)


def run_jobs():
    """bash with a running and a stopped job."""
    bash = Terminal()
    bash.type("sleep 1000 &\n", "[1]")
    bash.type("sleep 2000; echo sta''rted\n", "2000")
    time.sleep(0.5)
    bash.type("\x1a", "Stopped")
    before = bash.jobs()
    note("ready")
    await_file("go")
    after = bash.jobs()
    bash.type("fg %2\n", "sleep 2000")
    time.sleep(0.5)
    bash.type("\x03", "$ ")
    bash.type("kill %1; wait; echo no''thing\n", "nothing")
    note("result", f"{before == after} {len(before)} {len(bash.jobs())}")
    os.write(bash.fd, b"exit 5\n")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(bash.pid, 0)[1]))


def check_jobs():
    return open("result").read() == "True 2 0"


def work(seed):
    value = bytes([seed])
    for _ in range(30):
        for _ in range(500):
            value = hashlib.sha256(value).digest()
        time.sleep(0.01)
    return value.hex()


def run_pool():
    """multiprocessing: workers, pipes, semaphores and threads."""
    results = []
    with multiprocessing.get_context("fork").Pool(3) as pool:
        for result in pool.imap(work, range(9)):
            results.append(result)
            if len(results) == 3:
                note("ready")
                await_file("go")
    note("result", " ".join(results))
    sys.exit(5)


def check_pool():
    return open("result").read().split() == [work(seed) for seed in range(9)]


# It waits without making processes, and makes one when it may go on.
TRACED = """
exec 9<>fifo; > ready
while [ ! -e go ]; do read -t 0.05 -u 9; done
(exit 3); echo "child gave $?" > result; exit 5
"""


def run_strace():
    """strace, which follows a shell and its child."""
    os.mkfifo("fifo")
    os.execvp("strace", ["strace", "-f", "-o", "trace", "bash", "-c", TRACED])


def check_strace():
    trace = open("trace").read()
    return (
        open("result").read() == "child gave 3\n"
        and '"child gave 3' in trace
        and trace.count("+++ exited with 3 +++") == 1
        and trace.count("+++ exited with 5 +++") == 1
    )


def restarted(name):
    """Starts the program, saves and kills it, and restarts it to its end."""
    victim = subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), "--run", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=open("errors", "w"),
        start_new_session=True,
    )
    try:
        await_file("ready")
        time.sleep(0.3)
        subprocess.run(["cr", "checkpoint", "--kill", "-o", "image", str(victim.pid)], check=True)
    finally:
        victim.kill()
        victim.wait()
    if os.path.exists("result"):
        raise RuntimeError("it had come to its end before")
    note("go")
    done = subprocess.run(["cr", "restart", "-i", "image"], timeout=2 * PATIENCE)
    if done.returncode != 5:
        raise RuntimeError(f"it ended with {done.returncode}: {open('errors').read()}")


TESTS = {
    "jobs": (run_jobs, check_jobs),
    "pool": (run_pool, check_pool),
    "strace": (run_strace, check_strace),
}


def main():
    print("TAP version 13")
    if os.geteuid() or not shutil.which("cr"):
        print("1..0 # SKIP needs to be root, and cr")
        return 4
    print(f"1..{len(TESTS)}")
    failed = 0
    for number, (name, (_, check)) in enumerate(TESTS.items(), 1):
        if name == "strace" and not shutil.which("strace"):
            print(f"ok {number} program.{name} # SKIP there is no strace")
            continue
        folder = tempfile.mkdtemp(prefix="cr-")
        os.chdir(folder)
        try:
            restarted(name)
            good = check()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            print(f"# {error}")
            good = False
        os.chdir("/")
        shutil.rmtree(folder)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} program.{name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        TESTS[sys.argv[2]][0]()
    elif sys.argv[1:2] != ["-l"]:
        sys.exit(main())
