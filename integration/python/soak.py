"""The loads of the soak, each a process: they write, read back, and stop at the first thing that is wrong.

`integration/soak` starts this with BOOTSTRAP, SECONDS, and ONLY (names of loads; all when empty).
"""

import json
import multiprocessing
import os
import sys
import time
import traceback

import soak_loads


def main():
    seconds, only = float(os.environ["SECONDS"]), os.environ.get("ONLY", "").split()
    stop, wrong = multiprocessing.Event(), multiprocessing.Event()
    processes = [
        multiprocessing.Process(target=run, args=(name, load, stop, wrong), name=name)
        for name, load in soak_loads.LOADS.items()
        if not only or name in only
    ]
    for process in processes:
        process.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not wrong.is_set() and all(process.is_alive() for process in processes):
        time.sleep(0.5)
    stop.set()
    for process in processes:
        process.join(120)
        if process.is_alive():
            print(f"{process.name}: does not end", flush=True)
            process.kill()
            wrong.set()
    return 1 if wrong.is_set() or any(process.exitcode for process in processes) else 0


def run(name, load, stop, wrong):
    try:
        print(f"{name}: {json.dumps(load(stop))}", flush=True)
    except BaseException as error:  # whatever it is, the soak has failed
        wrong.set()
        print(f"{name}: WRONG: {error}", flush=True)
        if not isinstance(error, soak_loads.Wrong):
            traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
