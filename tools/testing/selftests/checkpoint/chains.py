#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Images that need each other, made and put together with cr(1).

A program changes some of its memory on request, and tells a hash of all of it.
It is saved at several moments, killed, restarted, and asked again.
"""

import ctypes
import hashlib
import json
import mmap
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 60 * int(os.environ.get("CR_SLOW", 1))
MB = 1 << 20
PAGE = mmap.PAGESIZE


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
    with open(name) as file:
        return file.read()


class Memory:
    """Private, shared and huge memory, and a file that is mapped privately."""

    def __init__(self):
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        with open("file", "wb+") as file:
            file.write(os.urandom(MB))
            file.flush()
            mapped = mmap.mmap(file.fileno(), MB, flags=mmap.MAP_PRIVATE)
        huge = mmap.mmap(-1, 8 * MB, flags=private)
        huge.madvise(mmap.MADV_HUGEPAGE)
        self.parts = [
            mmap.mmap(-1, 8 * MB, flags=private),
            huge,
            mapped,
            mmap.mmap(-1, MB, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
        ]
        for part in self.parts[:2]:
            part.write(random.Random(7).randbytes(len(part)))
        # Some that is never touched, and zeros that were written.
        self.parts.append(mmap.mmap(-1, 2 * MB, flags=private))
        self.parts[-1][0:MB] = bytes(MB)

    def change(self, seed):
        """Writes to a twentieth of it, or to all with seed 0, and lets go of a bit."""
        rng = random.Random(seed)
        for part in self.parts:
            pages = len(part) // PAGE
            for page in rng.sample(range(pages), pages // 20 if seed else pages):
                part[page * PAGE + 8 : page * PAGE + 16] = rng.randbytes(8)
        self.parts[0].madvise(mmap.MADV_DONTNEED, rng.randrange(512) * PAGE, 2 * PAGE)

    def hash(self):
        whole = hashlib.sha256()
        for part in self.parts:
            whole.update(part)
        return whole.hexdigest()


def serve(name, memory, busy=None):
    """Does what files ask for, until "end" is there."""
    step = 0
    while not os.path.exists("end"):
        asked = f"{name}.{step}"
        if not os.path.exists(asked):
            time.sleep(0.02)
            continue
        if busy:
            busy.acquire()
        what = open(asked).read()
        if what:
            memory.change(int(what))
        note(f"{asked}.done", memory.hash())
        step += 1
        if busy:
            busy.release()


def run_one():
    memory = Memory()
    note("ready")
    serve("one", memory)
    sys.exit(5)


def run_family():
    """A parent, a child with which it shares memory, and one that is born later."""
    memory = Memory()
    first = os.fork()
    if not first:
        serve("first", memory)
        os._exit(0)
    note("ready")
    await_file("bear")
    second = os.fork()
    if not second:
        serve("second", memory)
        os._exit(0)
    note("born")
    serve("one", memory)
    os.waitpid(first, 0)
    os.waitpid(second, 0)
    sys.exit(5)


def run_busy():
    """Writes to its memory all the time, also by a thread."""
    memory = Memory()
    busy = threading.Lock()
    stop = False

    def write():
        seed = 0
        while not stop:
            with busy:
                memory.parts[0][seed % 512 * PAGE] = seed & 255
            seed += 1
            time.sleep(0.001)

    thread = threading.Thread(target=write)
    thread.start()
    note("ready")
    await_file("rest")
    stop = True
    thread.join()
    note("rested", memory.hash())
    serve("one", memory)
    sys.exit(5)


class Failure(Exception):
    """The test has failed."""


def cr(*args, code=0, **kwargs):
    """Runs cr; gives its standard error."""
    done = subprocess.run(["cr", *args], stderr=subprocess.PIPE, text=True, **kwargs)
    if done.returncode != code:
        raise Failure(f"cr {' '.join(args)}: {done.returncode}, not {code}: {done.stderr}")
    return done.stderr


def header(image):
    done = subprocess.run(["cr", "show", "--json", image], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["header"]


class Victim:
    """A running program of those above."""

    all = []

    def __init__(self, name):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--run", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=open("errors", "w"),
            start_new_session=True,
        )
        self.pid = str(self.process.pid)
        self.steps = {}
        self.all.append(self)
        await_file("ready")

    def ask(self, seed="", who="one"):
        """Lets it change memory, if there is a seed. Gives the hash of all that it has then."""
        step = self.steps.get(who, 0)
        self.steps[who] = step + 1
        note(f"{who}.{step}", str(seed))
        return await_file(f"{who}.{step}.done")

    def save(self, image, *args, **kwargs):
        return cr("checkpoint", *args, "-o", image, self.pid, **kwargs)

    def kill(self):
        """Ends it with its children, if it has not come to that."""
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait()

    def restarted(self, *args, hashes, stdin=None):
        """Restarts it; it must have what it had, and come to its end."""
        steps = dict(self.steps)
        back = subprocess.Popen(["cr", "restart", *args], stdin=stdin)
        try:
            for who, expected in hashes.items():
                # What was asked for since the image was written is asked for again.
                if self.ask(who=who) != expected:
                    raise Failure(f"{who} has other memory than before")
            note("end")
            if back.wait(PATIENCE) != 5:
                raise Failure(f"it ended with {back.returncode}: {open('errors').read()}")
        finally:
            back.kill()
            back.wait()
            if os.path.exists("end"):
                os.unlink("end")
            for who, step in self.steps.items():
                for number in range(steps.get(who, 0), step):
                    os.unlink(f"{who}.{number}")
                    os.unlink(f"{who}.{number}.done")
            self.steps = steps


def test_changes():
    """What has changed is saved, again and again, and restarted."""
    victim = Victim("one")
    victim.save("0", "--track")
    victim.ask(1)
    victim.save("1", "--track", "--parent", "0")
    hash = victim.ask(2)
    victim.save("2", "--kill", "--parent", "1")
    victim.process.wait()
    sizes = [os.path.getsize(name) for name in "012"]
    if max(sizes[1:]) > sizes[0] / 2:
        raise Failure(f"the sizes are {sizes}")
    for name in "012":
        cr("verify", "--quiet", name)
    victim.restarted("-i", "2", hashes={"one": hash})
    cr("merge", "-o", "whole", "2")
    cr("verify", "--quiet", "whole")
    os.mkdir("elsewhere")
    os.rename("whole", "elsewhere/whole")
    victim.restarted("-i", "elsewhere/whole", hashes={"one": hash})
    os.rename("0", "elsewhere/0")
    cr("restart", "-i", "2", code=127)
    victim.restarted("-i", "2", "--parent", "elsewhere/0", hashes={"one": hash})


def test_earlier():
    """An image of a chain is what the program was then, whatever came later."""
    victim = Victim("one")
    victim.save("0", "--track")
    hash = victim.ask(1)
    victim.save("1", "--track", "--parent", "0")
    steps = dict(victim.steps)
    victim.ask(2)
    victim.save("2", "--parent", "1")
    victim.kill()
    os.unlink("one.1")
    os.unlink("one.1.done")
    victim.steps = steps
    victim.restarted("-i", "1", hashes={"one": hash})


def test_unchanged():
    """Next to nothing is saved of a program that has done nothing."""
    victim = Victim("one")
    hash = victim.ask(1)
    victim.save("0", "--track")
    victim.save("1", "--track", "--parent", "0", "--no-cow")
    pages = header("0")["data_pages"], header("1")["data_pages"]
    # Shared memory is saved anew each time.
    if pages[1] > MB // PAGE + pages[0] // 20:
        raise Failure(f"data pages: {pages}")
    victim.kill()
    victim.restarted("-i", "1", hashes={"one": hash})


def test_family():
    """Processes that share memory, one of which is younger than the first image."""
    victim = Victim("family")
    victim.save("0", "--track")
    victim.ask(1, "first")
    note("bear")
    await_file("born")
    everybody = ["one", "first", "second"]
    for seed, who in enumerate(everybody, 2):
        victim.ask(seed, who)
    # Each has changed what all share.
    hashes = {who: victim.ask(who=who) for who in everybody}
    victim.save("1", "--kill", "--parent", "0")
    victim.process.wait()
    if os.path.getsize("1") > os.path.getsize("0") / 2:
        raise Failure(f"{os.path.getsize('1')} bytes")
    victim.restarted("-i", "1", hashes=hashes)


def test_frozen():
    """Tracking a tree that is left frozen."""
    victim = Victim("one")
    victim.save("0", "--track", "--leave-frozen")
    victim.save("1", "--track", "--parent", "0", "--leave-frozen")
    cr("thaw", victim.pid)
    hash = victim.ask(3)
    victim.save("2", "--parent", "1")
    victim.kill()
    victim.restarted("-i", "2", hashes={"one": hash})


def test_untracked():
    """All is saved if nobody knows what has changed."""
    victim = Victim("one")
    victim.save("0")
    if "everything was saved" not in victim.save("1", "--parent", "0"):
        raise Failure("it does not say so")
    # An incremental image without --track ends it.
    victim.save("2", "--track")
    victim.save("3", "--parent", "2")
    if "everything was saved" not in victim.save("4", "--parent", "3"):
        raise Failure("it is tracked still")
    hash = victim.ask(1)
    victim.save("5", "--parent", "4")
    victim.kill()
    for name in "0145":
        if header(name)["flags"]:
            raise Failure(f"{name} is incremental")
    victim.restarted("-i", "5", hashes={"one": hash})


def test_wrong_parent():
    """An image that is not the last of those that were tracked is no parent."""
    victim = Victim("one")
    victim.save("0", "--track")
    victim.save("1", "--track")
    victim.save("2", "--parent", "0", code=1)
    if os.path.exists("2"):
        raise Failure("there is an image")
    victim.kill()


def test_restarted():
    """A restarted program is tracked like any other."""
    victim = Victim("one")
    victim.save("0", "--track", "--kill", code=2)
    victim.save("0", "--track")
    hash = victim.ask(1)
    victim.save("1", "--kill", "--parent", "0")
    victim.process.wait()
    back = subprocess.run(
        ["cr", "restart", "--detach", "-i", "1"], stdout=subprocess.PIPE, text=True, check=True
    )
    victim.pid = back.stdout.strip()
    victim.save("2", "--track")
    hash = victim.ask(2)
    victim.save("3", "--kill", "--parent", "2")
    victim.restarted("-i", "3", hashes={"one": hash})


def anonymous():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("AnonPages:"))


def test_freed():
    """What is kept for the next checkpoint goes with the program."""
    before = anonymous()
    victim = Victim("one")
    victim.save("0", "--track")
    saved = anonymous()
    victim.ask(0)
    # The old pages are there beside the new ones.
    if anonymous() - saved < 12 * 1024:
        raise Failure(f"{saved} kB when it was saved, {anonymous()} now")
    victim.kill()
    for _ in range(100):
        if anonymous() - before < 4 * 1024:
            return
        time.sleep(0.1)
    raise Failure(f"{before} kB before, {anonymous()} now")


def test_compressed():
    """Compressed images, also of a chain, in files and on the way."""
    victim = Victim("one")
    victim.save("0", "--track", "--compress")
    hash = victim.ask(1)
    victim.save("1", "--compress=9", "--parent", "0")
    victim.save("plain")
    cr("verify", "--quiet", "1")
    victim.kill()
    victim.restarted("-i", "1", hashes={"one": hash})
    zstd = subprocess.run(["cr", "merge", "plain"], stdout=subprocess.PIPE, check=True).stdout
    if zstd != open("plain", "rb").read():
        raise Failure("an image that needs no other is not what it was")


def cached(name):
    """How many pages of a file are in the page cache."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    size = os.path.getsize(name)
    with open(name, "rb") as file:
        at = libc.mmap(None, ctypes.c_size_t(size), 1, 1, file.fileno(), ctypes.c_long(0))
        there = ctypes.create_string_buffer(size // PAGE + 1)
        if libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(size), there):
            raise OSError(ctypes.get_errno(), "mincore")
        libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(size))
    return sum(byte & 1 for byte in there.raw)


def test_direct():
    """Page data goes straight to the disk, and comes from there."""
    victim = Victim("one")
    hash = victim.ask(1)
    victim.save("0", "--direct")
    pages = header("0")["data_pages"]
    written = cached("0")
    cr("verify", "--quiet", "0")
    subprocess.run(["sh", "-c", "sync; echo 1 > /proc/sys/vm/drop_caches"], check=True)
    victim.kill()
    victim.restarted("--direct", "-i", "0", hashes={"one": hash})
    if max(written, cached("0")) > pages / 2:
        raise Failure(f"{written} pages are cached, then {cached('0')}, of {pages}")


def piped(*args):
    """A program that is saved while it runs, and goes from one cr to the other."""
    victim = Victim("busy")
    save = subprocess.Popen(
        ["cr", "checkpoint", "--pre-copy", "--kill", *args, victim.pid], stdout=subprocess.PIPE
    )
    back = subprocess.Popen(["cr", "restart"], stdin=subprocess.PIPE)
    try:
        # On this machine its pid is free only when it is dead and has been waited for,
        # so the end of the stream is held back until then.
        last = b""
        while part := os.read(save.stdout.fileno(), PAGE):
            last += part
            back.stdin.write(last[:-PAGE])
            last = last[-PAGE:]
        if save.wait(PATIENCE):
            raise Failure(f"cr checkpoint: {save.returncode}")
        victim.process.wait()
        back.stdin.write(last)
        back.stdin.close()
        note("rest")
        hash = await_file("rested")
        if victim.ask() != hash:
            raise Failure("it has other memory than before")
        note("end")
        if back.wait(PATIENCE) != 5:
            raise Failure(f"it ended with {back.returncode}: {open('errors').read()}")
    finally:
        back.kill()
        back.wait()


def test_pre_copy():
    piped()


def test_pre_copy_compressed():
    piped("--compress")


def test_pipe_compressed():
    """A compressed image that is stored as it comes through a pipe, and as it is."""
    victim = Victim("one")
    hash = victim.ask(1)
    save = subprocess.Popen(
        ["cr", "checkpoint", "--compress", "--kill", victim.pid], stdout=subprocess.PIPE
    )
    cr("merge", "-o", "0", stdin=save.stdout)
    save.stdout.close()
    if save.wait(PATIENCE):
        raise Failure(f"cr checkpoint: {save.returncode}")
    victim.process.wait()
    cr("verify", "--quiet", "0")
    with open("1", "wb") as file:
        subprocess.run(["cr", "merge", "0"], stdout=file, check=True)
    with open("1", "rb") as file:
        victim.restarted(hashes={"one": hash}, stdin=file)


def test_pre_copy_file():
    """The same in a file, which must be finished."""
    victim = Victim("one")
    hash = victim.ask(1)
    victim.save("0", "--pre-copy")
    victim.kill()
    cr("verify", "0", code=1)
    cr("merge", "-o", "1", "0")
    cr("verify", "--quiet", "1")
    victim.restarted("-i", "0", hashes={"one": hash})
    victim.restarted("-i", "1", hashes={"one": hash})
    with open("0", "rb+") as file:
        file.truncate(os.path.getsize("0") - 4)
    cr("merge", "-o", "2", "0", code=4)
    cr("restart", "-i", "0", code=127)
    if os.path.exists("2"):
        raise Failure("there is an image")


TESTS = {name[5:]: test for name, test in list(globals().items()) if name.startswith("test_")}


def main():
    print("TAP version 13")
    if os.geteuid() or not shutil.which("cr"):
        print("1..0 # SKIP needs to be root, and cr")
        return 4
    print(f"1..{len(TESTS)}")
    failed = 0
    for number, (name, test) in enumerate(TESTS.items(), 1):
        folder = tempfile.mkdtemp(prefix="cr-", dir="/var/tmp")
        os.chdir(folder)
        good = True
        try:
            test()
        except (OSError, Failure, subprocess.SubprocessError) as error:
            print(f"# {type(error).__name__}: {error}")
            good = False
        while Victim.all:
            Victim.all.pop().kill()
        os.chdir("/")
        shutil.rmtree(folder)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} chain.{name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        globals()["run_" + sys.argv[2]]()
    elif sys.argv[1:2] != ["-l"]:
        sys.exit(main())
