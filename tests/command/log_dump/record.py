#!/usr/bin/env python3
"""Makes the damaged files under data/, and expected.txt anew: what Kafka's own dump-log says of each line of cases.txt."""

import os
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOL = HERE.parents[2] / "integration" / "reference" / "tool"
FIXTURE = HERE.parents[2] / "storage" / "tests" / "kafka" / "fixture-0"
LOG, INDEX, TIMES = (f"00000000000000000000.{kind}" for kind in ("log", "index", "timeindex"))


def damage():
    log, index, times = ((FIXTURE / name).read_bytes() for name in (LOG, INDEX, TIMES))
    head = log[:1245]  # a batch of one record, and one of twenty
    flipped = bytearray(head)
    flipped[100] ^= 1
    short = bytearray(head)
    short[114 + 8 : 114 + 12] = (3).to_bytes(4, "big")
    save("torn-0", **{LOG: head[:-7], INDEX: index[:3], TIMES: times[:0]})
    save("flipped-0", **{LOG: bytes(flipped)})
    save("short-0", **{LOG: bytes(short)})
    # As a broker leaves them that was killed.
    save("zeros-0", **{LOG: head, INDEX: entry(20, 114) + bytes(24), TIMES: time(1_700_000_000_020, 20) + bytes(24)})
    save("wrong-0", **{LOG: head, INDEX: entry(3, 0) + entry(20, 114), TIMES: time(9, 0) + time(8, 20) + time(10, 99)})
    snapshot = (FIXTURE / "00000000000000000295.snapshot").read_bytes()
    save("snapshot-0", **{"00000000000000000295.snapshot": snapshot[:-1] + b"\0", "00000000000000000001.snapshot": snapshot[:9]})


def entry(offset, position):
    return offset.to_bytes(4, "big") + position.to_bytes(4, "big")


def time(timestamp, offset):
    return timestamp.to_bytes(8, "big") + offset.to_bytes(4, "big")


def save(name, **files):
    (HERE / "data" / name).mkdir(exist_ok=True)
    for file, content in files.items():
        (HERE / "data" / name / file).write_bytes(content)


def main():
    damage()
    environment = {**os.environ, "JAVA_TOOL_OPTIONS": "-Dstdout.encoding=UTF-8"}
    parts = []
    for case in (HERE / "cases.txt").read_text().splitlines():
        done = subprocess.run([TOOL, "dump-log", *case.split()], cwd=HERE / "data", capture_output=True, env=environment)
        output = done.stdout.decode()
        # The tool ends a line that it could not finish nowhere.
        parts.append(f"$ {case}\n{output}{'' if output.endswith(chr(10)) or not output else chr(10)}({done.returncode})\n")
        errors = re.sub(r"\s+at .*|Picked up .*", "", done.stderr.decode()).strip()
        print(f"{case}: {done.returncode} {errors[:300]}")
    (HERE / "expected.txt").write_text("".join(parts))


if __name__ == "__main__":
    main()
