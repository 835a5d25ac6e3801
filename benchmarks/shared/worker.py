"""A process for each peer, which runs a block of steps when it is told to and sleeps otherwise."""

from __future__ import annotations

import itertools
import multiprocessing
import time
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from shared import instructions, machine
from shared.peers import PEERS, NotOffered, Peer, Variant

QUIET = 0.002  # seconds between two looks at the CPU time
PATIENCE = 1.0  # seconds to wait for a library's threads to sleep


@dataclass
class Block:
    """What a block of steps took: seconds, steps, and the CPU seconds since the block before it,
    which other peers' times would show if they were many."""

    seconds: float
    steps: int
    idle: float

    @property
    def each(self) -> float:
        return self.seconds / self.steps


def serve(pipe: Connection, name: str, threads: int) -> None:
    """Answer each request with ("done", value) or ("failed", why), until there is no more."""
    machine.limit_threads(threads)
    warnings.simplefilter("ignore")  # libraries warn about each other's versions
    PEERS[name].prepare()
    worker = Worker(PEERS[name])
    while True:
        try:
            request, *arguments = pipe.recv()
            pipe.send(answer(worker, request, arguments))
        except (EOFError, OSError):  # the parent has closed its end, or is gone
            return


def answer(worker: Worker, request: str, arguments: list[Any]) -> tuple[str, Any]:
    try:
        return "done", getattr(worker, request)(*arguments)
    except NotOffered as error:
        return "failed", (str(error), "")
    except Exception as error:
        lines = "".join(traceback.format_exception(error)[-6:])
        return "failed", (f"{type(error).__name__}: {error}", lines)


class Worker:
    """The requests that a process answers."""

    def __init__(self, peer: Peer):
        self.peer = peer
        self.made: dict[str, Variant] = {}
        self.makers: Any = {}
        self.asleep = time.process_time()

    def open(self, work: str, row: Any) -> list[str]:
        """Import the library, forget the row before, and name the ways to do this one: `work` is
        the method of `Peer` that knows them."""
        self.made = {}
        self.makers = getattr(self.peer, work)(row)
        return list(self.makers)

    def first(self, variant: str, steps: int) -> Any:
        """What is compared: losses and gradients of the first steps, or predictions."""
        self.made[variant] = self.makers[variant]()
        found = self.made[variant].first(steps)
        self.settle()
        return found

    def run(self, variant: str, steps: int) -> Block:
        """Train: some steps to fetch the network back into the caches, then a timed block."""
        idle = time.process_time() - self.asleep
        runner = self.made[variant]
        runner.run(max(2, steps // 10))
        seconds, done = runner.run(steps)
        self.settle()
        return Block(seconds, done, idle)

    def settle(self) -> None:
        """Wait until the library's threads, which spin for a while after their work, sleep."""
        end = time.perf_counter() + PATIENCE
        before = time.process_time()
        while time.perf_counter() < end:
            time.sleep(QUIET)
            now = time.process_time()
            if now - before < QUIET / 10:
                break
            before = now
        self.asleep = time.process_time()

    def arithmetic(self) -> str:
        """What the library computes with, as it says itself, and how fast it multiplies."""
        found = instructions.arithmetic(self.peer.arithmetic)
        self.settle()
        return found


class Failure(Exception):
    """A peer cannot do what it was asked for."""


class Process:
    """The parent's end."""

    def __init__(self, name: str, threads: int):
        context = multiprocessing.get_context("spawn")  # a clean interpreter
        self.pipe, other = context.Pipe()
        self.name = name
        self.process = context.Process(target=serve, args=(other, name, threads), daemon=True)
        self.process.start()
        other.close()

    def ask(self, request: str, *arguments: Any) -> Any:
        try:
            self.pipe.send((request, *arguments))
            kind, value = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise Failure(f"its process ended during {request}()") from error
        if kind == "failed":
            why, lines = value
            failure = Failure(why.splitlines()[0][:200])
            failure.add_note(lines)
            raise failure
        return value

    def close(self) -> None:
        self.pipe.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.terminate()


def interleave(
    sides: dict[Any, tuple[Process, str]], seconds: float, rounds: int, least: int = 5
) -> dict[Any, list[Block]]:
    """Blocks of about so many seconds of each side, or of `least` steps if these take longer. They
    take turns, in an order that turns round with every round, so that no side always follows the
    same other."""
    steps = {}
    for key, (process, variant) in sides.items():
        process.ask("run", variant, 3)
        each = process.ask("run", variant, 3).each
        steps[key] = max(least, round(seconds / each))
        process.ask("run", variant, steps[key])
    found: dict[Any, list[Block]] = {key: [] for key in sides}
    order = list(sides)
    for turn in itertools.islice(itertools.cycle((1, -1)), rounds):
        for key in order[::turn]:
            process, variant = sides[key]
            found[key].append(process.ask("run", variant, steps[key]))
    return found
