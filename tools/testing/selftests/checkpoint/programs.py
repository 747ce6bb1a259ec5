#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Real programs, saved with cr(1) in the middle of their work.

Each is killed, restarted from its image, and must come to the right end. A
program is started by one of the run_ functions below, in a session of its own
and in a folder that is its own; a file "ready" tells that it may be saved, and
a file "go" lets it end, which is made before the restart.
"""

import contextlib
import hashlib
import itertools
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
import urllib.error
import urllib.request

PATIENCE = 60 * int(os.environ.get("CR_SLOW", 1))


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

def run_age():
    """age, written in Go, which encrypts what comes through a pipe."""
    subprocess.run(["age-keygen", "-o", "key"], check=True, stderr=subprocess.DEVNULL)
    data = os.urandom(4 << 20)
    note("data", data.hex())
    public = subprocess.run(["age-keygen", "-y", "key"], check=True, stdout=subprocess.PIPE, text=True)
    age = subprocess.Popen(
        ["age", "-r", public.stdout.strip(), "-o", "secret"], stdin=subprocess.PIPE
    )
    # An odd number, so that a block is there in part.
    age.stdin.write(data[:1234567])
    age.stdin.flush()
    note("ready")
    await_file("go")
    age.stdin.write(data[1234567:])
    age.stdin.close()
    note("result", str(age.wait()))
    sys.exit(5)


def check_age():
    clear = subprocess.run(["age", "-d", "-i", "key", "secret"], stdout=subprocess.PIPE).stdout
    return open("result").read() == "0" and clear.hex() == open("data").read()


# A thread that works, the pool of libuv, and timers.
NODE = """
const fs = require("fs"), crypto = require("crypto"), { Worker } = require("worker_threads");
const worker = new Worker(`
    const { parentPort } = require("worker_threads"), crypto = require("crypto");
    let value = Buffer.from([7]), steps = 0;
    function work() {
        for (let i = 0; i < 500; i++)
            value = crypto.createHash("sha256").update(value).digest();
        if (++steps == 10) parentPort.postMessage("ready");
        if (steps < 30) setTimeout(work, 10);
        else parentPort.once("message", () => parentPort.postMessage(value.toString("hex")));
    }
    work();`, { eval: true });
const keys = [0, 0, 0, 0, 0, 0].map((_, i) => new Promise((resolve) =>
    crypto.pbkdf2("secret" + i, "salt", 20000, 32, "sha256", (_, key) => resolve(key.toString("hex")))));
worker.on("message", async (message) => {
    if (message != "ready") {
        fs.writeFileSync("part", [message, ...await Promise.all(keys)].join(" "));
        fs.renameSync("part", "result");
        process.exit(5);
    }
    fs.writeFileSync("ready", "");
    const timer = setInterval(() => {
        if (!fs.existsSync("go")) return;
        clearInterval(timer);
        worker.postMessage("go");
    }, 20);
});
"""


def allow_io_uring(yes):
    """There is nothing to allow on a kernel without it."""
    with contextlib.suppress(FileNotFoundError):
        with open("/proc/sys/kernel/io_uring_disabled", "w") as file:
            file.write("0" if yes else "2")


def run_node():
    """node with a worker, work in its pool of threads, and a timer."""
    # It can do without its rings, which cannot be saved.
    allow_io_uring(False)
    os.execvp("node", ["node", "-e", NODE])


def check_node():
    keys = [
        hashlib.pbkdf2_hmac("sha256", b"secret%d" % number, b"salt", 20000).hex()
        for number in range(6)
    ]
    return open("result").read().split() == [work(7), *keys]


# Threads that compute and make garbage, in a virtual machine that compiles them meanwhile.
JAVA = """
var File = java.io.File, Text = java.lang.String, Digest = java.security.MessageDigest;
var Byte = java.lang.Byte.TYPE, Number = java.math.BigInteger, array = java.lang.reflect.Array;
var started = new java.util.concurrent.CountDownLatch(3), threads = [];
// Not an array of JavaScript, to which threads must not write at once.
var results = array.newInstance(Text, 3);
function work(seed, steps) {
    var digest = Digest.getInstance("SHA-256");
    var value = array.newInstance(Byte, 1);
    value[0] = seed;
    for (var step = 0; step < steps; step++) {
        value = digest.digest(value);
        if (step == 3000) started.countDown();
    }
    results[seed] = Text.format("%064x", new Number(1, value));
}
// Rhino looks up what is of Java when it is used first, which threads must not do at once either.
work(0, 10);
[0, 1, 2].forEach(function (seed) { threads.push(spawn(work, [seed, 30 * 500])); });
started.await();
new File("ready").createNewFile();
while (!new File("go").exists()) java.lang.Thread.sleep(20);
threads.forEach(function (thread) { thread.join(); });
var out = new java.io.FileWriter("part");
out.write(Text.join(" ", results));
out.close();
new File("part").renameTo(new File("result"));
quit(5);
"""


def run_java():
    """OpenJDK with a program of several threads.

    It patches code that other threads run, eight bytes at once. An emulated CPU
    that translates this code in the meantime may read the old first byte and
    the new others, and then does what nobody wrote: the threads take turns on
    one CPU.
    """
    note("program.js", JAVA)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    options = ["-XX:ActiveProcessorCount=2", "-XX:+ErrorFileToStderr"]
    os.execvp("java", ["java", *options, "-jar", "/usr/share/java/js.jar", "program.js"])


def check_java():
    return open("result").read().split() == [work(seed) for seed in range(3)]


ROOTLESS = """
exec 9<>fifo; > ready
while [ ! -e go ]; do read -t 0.05 -u 9; done
echo $$ $(id -u) $(cat /proc/self/uid_map /proc/self/setgroups) > result; exit 5
"""


def run_rootless():
    """A container of a user who is root in it, and nobody outside."""
    os.mkfifo("fifo")
    for name in (".", "fifo"):
        os.chmod(name, 0o777)
    user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
    container = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--uts"]
    os.execvp("setpriv", [*user, *container, "bash", "-c", ROOTLESS])


def check_rootless():
    return open("result").read().split() == ["1", "0", "0", "1000", "1", "deny"]


REDIS = ["redis-server", "--save", "", "--dir", ".", "--enable-debug-command", "local"]


def redis_cli(*args):
    """What redis says to that, on the port that it has if nobody gives it another."""
    done = subprocess.run(["redis-cli", *args], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def await_redis():
    end = time.monotonic() + PATIENCE
    while subprocess.run(["redis-cli", "ping"], stdout=subprocess.DEVNULL).returncode:
        if time.monotonic() > end:
            raise TimeoutError("redis does not answer")
        time.sleep(0.1)


def run_redis():
    """redis, which has its data in memory, with threads and epoll, on IPv4 and IPv6."""
    redis = subprocess.Popen(REDIS)
    await_redis()
    redis_cli("debug", "populate", "10000")
    redis_cli("set", "greeting", "hello")
    note("digest", redis_cli("debug", "digest"))
    # The connections of redis-cli are closed when they are.
    time.sleep(0.5)
    note("ready")
    await_file("go")
    after = redis_cli("-h", "::1", "debug", "digest")
    redis_cli("set", "greeting", "hello again")
    note("result", f"{after} {redis_cli('dbsize')} {redis_cli('get', 'greeting')}")
    redis_cli("shutdown")
    note("code", str(redis.wait()))
    sys.exit(5)


def check_redis():
    digest = open("digest").read()
    return (
        open("result").read() == f"{digest} 10001 hello again" and open("code").read() == "0"
    )


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE) as answer:
        return answer.read().decode()


def run_http():
    """http.server of python3, and files from it."""
    note("page", "a page")
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "8099"]
    )
    end = time.monotonic() + PATIENCE
    while True:
        try:
            before = fetch(8099, "page")
            break
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
    time.sleep(0.5)
    note("ready")
    await_file("go")
    note("result", f"{before}, {fetch(8099, 'page')}")
    server.kill()
    server.wait()
    sys.exit(5)


def check_http():
    return open("result").read() == "a page, a page"


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
        raise RuntimeError(f"it ended with {done.returncode}")


# How each is run and checked, and what it needs.
TESTS = {
    "jobs": (run_jobs, check_jobs, "bash"),
    "pool": (run_pool, check_pool, "python3"),
    "strace": (run_strace, check_strace, "strace"),
    "age": (run_age, check_age, "age"),
    "node": (run_node, check_node, "node"),
    "java": (run_java, check_java, "rhino"),
    "rootless": (run_rootless, check_rootless, "unshare"),
    "redis": (run_redis, check_redis, "redis-server"),
    "http": (run_http, check_http, "python3"),
}

SERVERS = {"redis", "http"}


def main():
    print("TAP version 13")
    if os.geteuid() or not shutil.which("cr"):
        print("1..0 # SKIP needs to be root, and cr")
        return 4
    print(f"1..{len(TESTS)}")
    failed = 0
    for number, (name, (_, check, needed)) in enumerate(TESTS.items(), 1):
        if not shutil.which(needed):
            print(f"ok {number} program.{name} # SKIP there is no {needed}")
            continue
        if name in SERVERS and not os.path.exists("/proc/net/if_inet6"):
            print(f"ok {number} program.{name} # SKIP this kernel has no IPv6")
            continue
        folder = tempfile.mkdtemp(prefix="cr-")
        os.chdir(folder)
        try:
            restarted(name)
            good = check()
            if not good:
                print(f"# it gives {open('result').read()[:1000]!r}")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            print(f"# {error}")
            print("".join(f"# {line}" for line in itertools.islice(open("errors"), 100)), end="")
            good = False
        allow_io_uring(True)
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
