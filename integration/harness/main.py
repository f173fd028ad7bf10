"""What to run, in which order, and the verdict."""

import argparse
import difflib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import brokers, clients, dumplog, places
from harness.brokers import Broker, BrokerError, tail
from harness.smalldisk import DiskError

# These stop, kill, starve or reconfigure their broker, so each has one of its own.
OWN_BROKER = {"restart", "kill9", "eos-kill9", "bad-input", "compaction", "data-directory", "full-disk"}
# Kafka begins, and hands its directory to the broker that is tested.
SHARED_DIRECTORY = {"data-directory"}
# On a file system of its own, of this size.
SMALL_DISK = {"full-disk": "16m"}
# Kafka gives up where Ottla does not, or lacks it: what is expected is written down by hand, in expected/.
OTTLA_ALONE = {"full-disk", "schema-validation"}


def main(words):
    if words[:1] == ["--ctl"]:
        return brokers.ctl(*words[1:])
    options = arguments(words)
    chosen = choose(options)
    if options.list:
        for client, scenario in chosen:
            print(client.name, scenario)
        return 0
    if not chosen:
        print("nothing to run: see --list", file=sys.stderr)
        return 2
    if "ottla" in options.kinds and not places.OTTLA.exists():
        print(f"there is no {places.OTTLA}: build it first, or say with OTTLA_BIN where it is", file=sys.stderr)
        return 2
    directory = Path(tempfile.mkdtemp(prefix="ottla-integration-"))
    run = Run(options, directory)
    # An ended harness leaves no clients and no brokers behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: run.abort())
    try:
        return run.all(chosen)
    finally:
        run.stop_brokers()
        if options.keep:
            print(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def arguments(words):
    parser = argparse.ArgumentParser(prog="integration/run", description="Stock clients against Ottla and Kafka.")
    parser.add_argument("--broker", choices=["ottla", "kafka", "both"], default="ottla")
    parser.add_argument("--client", nargs="+", metavar="NAME", help="only these clients")
    parser.add_argument("--scenario", nargs="+", metavar="NAME", help="only these scenarios")
    parser.add_argument("--skip", nargs="+", metavar="NAME", default=[], help="not these clients or scenarios")
    parser.add_argument("--record", action="store_true", help="run the reference and rewrite recorded/")
    parser.add_argument("--keep", action="store_true", help="leave data and logs")
    parser.add_argument("--list", action="store_true", help="print what would run")
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 2) + 1, help="scenarios at a time")
    parser.add_argument("--rounds", type=int, default=50, help="how often kill9 kills")
    options = parser.parse_args(words)
    options.kinds = ["ottla", "kafka"] if options.broker == "both" else [options.broker]
    if options.record:
        options.kinds = ["kafka"]
    return options


def choose(options):
    """The (client, scenario) pairs that the options select."""
    known = clients.load()
    for name in options.client or []:
        if name not in known:
            sys.exit(f"no client is named {name}; there are {', '.join(known)}")
    return [
        (client, scenario)
        for client in known.values() if not options.client or client.name in options.client
        for scenario in client.scenarios if not options.scenario or scenario in options.scenario
        if client.name not in options.skip and scenario not in options.skip
        and not (is_ottlas_alone(client, scenario) and "kafka" in options.kinds)
    ]


class Run:
    """One run of the harness: its brokers, its directory, its verdicts."""

    def __init__(self, options, directory):
        self.options = options
        self.dir = directory
        self.lock = threading.Lock()
        self.shared, self.unusable, self.shared_lock = {}, set(), threading.Lock()
        self.started = []
        self.verdicts = []
        self.aborted = False

    def all(self, chosen):
        begin = time.monotonic()
        broken = self.set_up(chosen)
        with ThreadPoolExecutor(self.options.jobs) as pool:
            # The long ones first, so that none of them is alone at the end.
            order = sorted(chosen, key=lambda pair: -pair[0].timeout_s.get(pair[1], clients.TIMEOUT_S))
            for future in [pool.submit(self.guarded, client, scenario, broken) for client, scenario in order]:
                future.result()
        if not self.options.record and not self.aborted:
            self.check_files()
        return self.report(time.monotonic() - begin)

    def set_up(self, chosen):
        """Sets every chosen client up; returns the problems by directory."""
        broken, done = {}, set()
        for client, _ in chosen:
            if client.directory not in done:
                done.add(client.directory)
                problem = clients.set_up(client, self.dir / f"setup-{client.directory.name}.log")
                if problem:
                    broken[client.directory] = problem
        return broken

    def guarded(self, client, scenario, broken):
        """One scenario; whatever goes wrong is its verdict and stops nobody else."""
        if self.aborted:
            return
        begin = time.monotonic()
        if client.directory in broken:
            problem = broken[client.directory]
        else:
            try:
                problem = self.scenario(client, scenario)
            except BrokerError as error:
                problem = str(error)
        self.verdict(client.name, scenario, problem, time.monotonic() - begin)

    def scenario(self, client, scenario):
        """Runs a scenario where it is to run and compares; returns the problem, or None."""
        place = self.dir / client.name / scenario
        results = {}
        for kind in self.options.kinds:
            broker = self.broker(kind, place, client, scenario)
            result = clients.run(client, scenario, broker, place, self.options.rounds)
            if is_apart(client, scenario):
                broker.stop()
            if result.problem:
                return explain(f"{kind}: {result.problem}", result, broker)
            results[kind] = (result, broker)
        recorded = (places.EXPECTED if is_ottlas_alone(client, scenario) else places.RECORDED) / client.name / f"{scenario}.txt"
        if self.options.record:
            recorded.parent.mkdir(parents=True, exist_ok=True)
            recorded.write_text(results["kafka"][0].output)
            return None
        if len(results) == 1 and not recorded.exists():
            return f"there is no {recorded} to compare with"
        expected = results["kafka"][0].output if len(results) == 2 else recorded.read_text()
        result, broker = results[self.options.kinds[0]]
        if result.output == expected:
            return None
        return explain("other lines than expected:\n" + difference(expected, result.output), result, broker)

    def broker(self, kind, place, client, scenario):
        """The broker for a scenario: its own, or the one that all share (anew when it died)."""
        if is_apart(client, scenario):
            if scenario in SHARED_DIRECTORY:
                return self.start("kafka", place / kind, next_kind=kind)
            settings = client.own_settings(scenario)
            return self.start(kind, place / kind, disk=SMALL_DISK.get(scenario), settings=settings)
        with self.shared_lock:
            if kind in self.unusable:
                raise BrokerError(f"{kind} did not start; the first failure says why")
            try:
                if kind not in self.shared:
                    self.shared[kind] = self.start(kind, self.dir / f"shared-{kind}")
                elif self.shared[kind].pid() is None:
                    self.shared[kind].start()
            except BrokerError:
                self.unusable.add(kind)
                raise
            return self.shared[kind]

    def start(self, kind, directory, **how):
        broker = Broker.create(kind, directory, **how)
        self.started.append(broker)
        broker.start()
        return broker

    def abort(self):
        """Lets what runs end at once, and begins nothing more."""
        self.aborted = True
        clients.kill_all()

    def stop_brokers(self):
        for broker in self.started:
            try:
                broker.stop()
                broker.release()
            except (BrokerError, DiskError) as error:
                print(error, file=sys.stderr)

    def check_files(self):
        """Kafka's own tool reads every file that Ottla wrote."""
        self.stop_brokers()
        # Of bad input, the reference too stores batches that its dump-log then complains of.
        written = [
            broker for broker in self.started
            if broker.is_ottlas() and broker.data.exists() and broker.dir.parent.name != "bad-input"
        ]
        with ThreadPoolExecutor(self.options.jobs) as pool:
            list(pool.map(self.check_files_of, written))

    def check_files_of(self, broker):
        begin = time.monotonic()
        place = broker.dir.relative_to(self.dir).parts
        name = "/".join(place[:2]) if len(place) == 3 else "shared"
        self.verdict("dump-log", name, dumplog.check(broker.data), time.monotonic() - begin)

    def verdict(self, client, scenario, problem, seconds):
        with self.lock:
            self.verdicts.append((client, scenario, problem, seconds))
            print(f"{'FAIL' if problem else 'ok  '} {client:24} {scenario:20} {seconds:6.1f} s", flush=True)
            if problem:
                print("     " + problem.rstrip().replace("\n", "\n     "), flush=True)

    def report(self, seconds):
        failed = [verdict for verdict in self.verdicts if verdict[2]]
        print_table(self.verdicts)
        print(f"\n{len(self.verdicts) - len(failed)} passed, {len(failed)} failed in {seconds:.0f} s")
        return 1 if failed or self.aborted else 0


def is_apart(client, scenario):
    """Whether a scenario has a broker of its own."""
    return scenario in OWN_BROKER or scenario in client.own


def is_ottlas_alone(client, scenario):
    """Whether Kafka has nothing to be compared with."""
    return client.registry or scenario in OTTLA_ALONE


def print_table(verdicts):
    """One line per client: what passed as a count, what failed by name."""
    print()
    for client in sorted({verdict[0] for verdict in verdicts}):
        own = [verdict for verdict in verdicts if verdict[0] == client]
        failed = sorted(scenario for _, scenario, problem, _ in own if problem)
        seconds = sum(verdict[3] for verdict in own)
        names = "  failed: " + " ".join(failed) if failed else ""
        print(f"{client:24} {len(own) - len(failed):3} of {len(own):3} passed {seconds:7.1f} s{names}")


def difference(expected, actual):
    lines = difflib.unified_diff(
        expected.splitlines(), actual.splitlines(), "the reference", "this run", lineterm="", n=2
    )
    return "\n".join(list(lines)[:80])


def explain(problem, result, broker):
    """A problem with the ends of both logs."""
    return (
        f"{problem}\n--- the client's log ends with\n{tail(result.log)}"
        f"\n--- the broker's log ({broker.log}) ends with\n{tail(broker.log, 8)}"
    )
