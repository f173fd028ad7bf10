"""Kafka's dump-log over every file of a data directory: whatever it complains of is a fault of the broker."""

import functools
import os
import re
import subprocess
import tempfile
from pathlib import Path

from harness import places

# The files that it can read, by the end of their names.
KINDS = (".log", ".index", ".timeindex", ".txnindex", ".snapshot", ".checkpoint")

MAX_ARGUMENT = 100_000

# Scenarios write records of times before this one, or of their own time.
NOW_FROM_MS = 1_700_000_000_000

# What it prints when a file is not as it should be.
COMPLAINTS = re.compile(
    r"isvalid: false|mismatch|out of order|is followed by|exception|error|corrupt|invalid|could not|couldn't"
    r"|not (?:a )?valid|failed|does not exist|Cannot",
    re.IGNORECASE,
)
# What it prints in place of a coordinator's record that it cannot decode.
UNREAD = re.compile(r"could not read|unknown record|unknown type", re.IGNORECASE)
# Headings of what it says at the end of several files' entries, one line each.
SECTION = re.compile(r"(Mismatches|Found timestamp mismatch|Found out of order timestamp|Non-consecutive offsets) in :?(.*)")
GAP = re.compile(r"\s*(-?\d+) is followed by (\d+)")
# Said of a compacted segment that begins with a batch whose records are all gone, of the reference's own too.
HARMLESS = re.compile(r"\s*Index timestamp: \d+, log timestamp: -1")


def check(data):
    """Returns None, or the complaints about the files below `data`."""
    groups = {}
    for path in sorted(data.rglob("*")):
        if path.is_file() and path.name.endswith(KINDS) and path.stat().st_size > 0:
            groups.setdefault(decoder(path), []).append(path)
    complaints = []
    for option, paths in groups.items():
        for part in portions(paths):
            complaints += dump(option, part)
    if not groups:
        return f"no files in {data}"
    return "\n".join(complaints[:40]) or None


def account(directory):
    """One line for each segment and each batch of a partition, without what differs from run to run."""
    paths = sorted(directory.glob("*.log"))
    command = [places.TOOL, "dump-log", "--files", ",".join(str(path) for path in paths)]
    dumped = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    lines, producers = [], {"-1": "none"}
    for line in dumped.splitlines():
        if line.startswith("Dumping "):
            lines.append(Path(line.split()[1]).name)
        elif line.startswith("baseOffset: "):
            batch = dict(re.findall(r"(\w+): (\S+)", line))
            producer = producers.setdefault(batch["producerId"], f"producer {len(producers)}")
            # The broker's own times are of today.
            time = int(batch["CreateTime"])
            lines.append(
                f"  {batch['baseOffset']}-{batch['lastOffset']} {batch['count']} {batch['compresscodec']} {producer}"
                f" {batch['producerEpoch']} {batch['baseSequence']}-{batch['lastSequence']}"
                f" {time if time < NOW_FROM_MS else 'now'}"
                f"{' transactional' * (batch['isTransactional'] == 'true')}{' control' * (batch['isControl'] == 'true')}"
                f"{' horizon' * ('empty' not in batch['deleteHorizonMs'])}{' invalid' * (batch['isvalid'] != 'true')}"
            )
    return lines


def portions(paths):
    """The files in parts whose names fit into one argument: a Linux argument ends at 128 KiB."""
    part, length = [], 0
    for path in paths:
        if part and length + len(str(path)) >= MAX_ARGUMENT:
            yield part
            part, length = [], 0
        part.append(path)
        length += len(str(path)) + 1
    if part:
        yield part


# Internal topics have records that it can read too.
DECODERS = {
    "__consumer_offsets": "--offsets-decoder",
    "__transaction_state": "--transaction-log-decoder",
    "__share_group_state": "--share-group-state-decoder",
    "__cluster_metadata": "--cluster-metadata-decoder",
}


def decoder(path):
    """How to read a file; other topics' keys and values are anything."""
    if path.name == "bootstrap.checkpoint":
        return "--cluster-metadata-decoder"
    return DECODERS.get(path.parent.name.rpartition("-")[0], "--deep-iteration")


def dump(option, paths):
    """The complaints of one run over several files, each after the file's name, and where Ottla's own dump differs."""
    words = [option, "--files", ",".join(str(path) for path in paths)]
    ours = start([places.OTTLA, "log", "dump", *words], stderr=subprocess.DEVNULL)
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        theirs = start([places.TOOL, "dump-log", *words], stderr=errors)
        file, complaints, differs = "", [], False
        for line in theirs.stdout:
            if line.startswith("Dumping "):
                file = line.split()[1]
            elif line.startswith(("baseOffset:", "| offset:")):
                # The content of a healthy batch or record may hold any word.
                if "isvalid: false" in line or option in DECODERS.values() and UNREAD.search(line):
                    complaints.append(f"{file}: {line.strip()[:300]}")
            elif COMPLAINTS.search(line):
                complaints.append(f"{file}: {line.strip()}")
            if not differs and ours.stdout.readline() != line:
                differs = True
                complaints.append(f"{file}: ottla log dump differs from: {line.strip()[:300]}")
        if not differs and (more := ours.stdout.readline()):
            complaints.append(f"{file}: ottla log dump goes on with: {more.strip()[:300]}")
        # What it has still to say after a difference is lost on purpose.
        ours.stdout.close()
        ours.wait()
        if theirs.wait() != 0:
            complaints.append(f"dump-log ended with {theirs.returncode} at {file}")
        errors.seek(0)
        return complaints + list(told_at_the_end(errors))


def start(command, stderr):
    # Java prints what is not ASCII as the machine's language has it, when nobody says.
    environment = {**os.environ, "JAVA_TOOL_OPTIONS": "-Dstdout.encoding=UTF-8"}
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, encoding="utf-8",
        errors="replace", env=environment,
    )


def told_at_the_end(lines):
    """What it says when all files are read."""
    section = None
    for line in lines:
        if heading := SECTION.match(line):
            section = Path(heading[2].strip())
        elif section and line.startswith(" "):
            if not HARMLESS.match(line) and not is_expected_gap(section, line):
                yield f"{section}: {line.strip()}"
        elif COMPLAINTS.search(line):
            yield line.strip()


def is_expected_gap(path, line):
    """Before each segment that does not begin at offset 0, of the reference's healthy ones too; and where the cleaner was."""
    gap = GAP.match(line)
    return gap is not None and (int(gap[1]) == -1 or int(gap[2]) <= cleaned_to(path.parent))


@functools.cache
def cleaned_to(directory):
    """How far a partition's log has been compacted."""
    checkpoint = directory.parent / "cleaner-offset-checkpoint"
    if not checkpoint.exists():
        return 0
    topic, _, partition = directory.name.rpartition("-")
    entries = [line.split() for line in checkpoint.read_text().splitlines()[2:]]
    return next((int(offset) for name, index, offset in entries if (name, index) == (topic, partition)), 0)
