#!/usr/bin/python3
"""Computes primes with several threads, and notes them in a file as it goes.

A child adds them up: it reads each prime from a pipe, and answers with the sum
so far through another. Line n of the file says n, the n-th prime, and the sum
of the first n. So a prime that was lost, or one that was counted twice, shows.

usage: compute.py FILE COUNT            compute, and exit when COUNT are noted
       compute.py --check FILE COUNT    check the file without threads and pipes
"""

import os
import queue
import sys
import threading
import time

THREADS = 4
BATCH = 100


def is_prime(number):
    return number > 1 and all(number % d for d in range(2, int(number**0.5) + 1))


def add_up(requests, answers):
    total = 0
    for line in requests:
        total += int(line)
        print(total, file=answers, flush=True)


def start_child():
    request_read, request_write = os.pipe()
    answer_read, answer_write = os.pipe()
    if os.fork() == 0:
        os.close(request_write)
        os.close(answer_read)
        add_up(os.fdopen(request_read), os.fdopen(answer_write, "w"))
        os._exit(0)
    os.close(request_read)
    os.close(answer_write)
    return os.fdopen(request_write, "w"), os.fdopen(answer_read)


def find(batches, found):
    while (start := batches.get()) is not None:
        found.put((start, [n for n in range(start, start + BATCH) if is_prime(n)]))


def primes():
    """Yield the primes in order; the threads find them in any order."""
    batches, found = queue.Queue(), queue.Queue()
    for _ in range(THREADS):
        threading.Thread(target=find, args=(batches, found), daemon=True).start()
    for start in range(0, 2 * THREADS * BATCH, BATCH):
        batches.put(start)
    early, due, last = {}, 0, start
    while True:
        start, numbers = found.get()
        early[start] = numbers
        last += BATCH
        batches.put(last)
        while due in early:
            yield from early.pop(due)
            due += BATCH


def compute(name, count):
    requests, answers = start_child()
    with open(name, "w") as file:
        for n, prime in enumerate(primes(), 1):
            print(prime, file=requests, flush=True)
            print(n, prime, answers.readline().strip(), file=file, flush=True)
            if n == count:
                break
            time.sleep(0.005)
    requests.close()
    os.wait()


def check(name, count):
    expected, total, number = [], 0, 0
    while len(expected) < count:
        number += 1
        if is_prime(number):
            total += number
            expected.append(f"{len(expected) + 1} {number} {total}")
    with open(name) as file:
        lines = file.read().splitlines()
    for n, (line, wanted) in enumerate(zip(lines, expected), 1):
        if line != wanted:
            sys.exit(f"line {n} is {line!r} and should be {wanted!r}")
    if len(lines) != count:
        sys.exit(f"there are {len(lines)} lines and should be {count}")


if sys.argv[1] == "--check":
    check(sys.argv[2], int(sys.argv[3]))
else:
    compute(sys.argv[1], int(sys.argv[2]))
