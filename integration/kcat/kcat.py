"""kcat's scenarios: each is a few calls of kcat, whose output is the result."""

import hashlib
import json
import os
import subprocess
import sys

BOOTSTRAP, RUN_ID = os.environ["BOOTSTRAP"], os.environ["RUN_ID"]
TOPIC = f"{RUN_ID}-topic"


def kcat(*words, given=None):
    """Runs kcat; returns its output. What it says on stderr goes to ours."""
    done = subprocess.run(
        ["kcat", "-b", BOOTSTRAP, *words], input=given, capture_output=True, timeout=30, check=False
    )
    sys.stderr.write(f"kcat {' '.join(words)}: {done.returncode}\n{done.stderr.decode(errors='replace')}\n")
    if done.returncode != 0:
        print(f"kcat {words[0]} ended with {done.returncode}: {error_of(done.stderr)}")
    return done.stdout.decode(errors="replace")


def error_of(stderr):
    """What kcat says of a failed delivery or fetch, without the parts that vary."""
    text = stderr.decode(errors="replace")
    known = ("Message size too large", "Offset out of range", "Unknown topic or partition", "no such partition")
    return next((words for words in known if words.lower() in text.lower()), "an unknown error")


def produce(*words, given, topic=TOPIC):
    kcat("-P", "-t", topic, *words, given=given.encode())


def consume(*words, topic=TOPIC, form="%o %k %s\\n"):
    """Reads to the end of a topic."""
    return kcat("-C", "-t", topic, "-e", "-q", "-f", form, *words)


def lines(prefix, count):
    return "".join(f"{prefix}{i}\n" for i in range(count))


def summary(text):
    """Count and checksum of lines."""
    return f"{len(text.splitlines())} records, sha1 {hashlib.sha1(text.encode()).hexdigest()}"


def codecs():
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        topic = f"{RUN_ID}-{codec}"
        produce("-z", codec, "-K", ":", given="".join(f"k{i}:{codec} {i}\n" for i in range(100)), topic=topic)
        print(codec, summary(consume(topic=topic, form="%k:%s\\n")))


def headers():
    produce("-H", "a=1", "-H", "a=2", "-H", "empty=", "-H", "null", given="several\n")
    produce(given="none\n")
    print(consume(form="%s %h\\n"), end="")


def nulls():
    produce("-K", ":", "-Z", given="key:value\nnull-value:\n:null-key\n:\n")
    produce("-K", ":", given="empty-value:\n:empty-key\n")
    print(consume(form="%o key %K value %S\\n"), end="")


def timestamps():
    """CreateTime as kcat sets it: now; what can be said of it is its order and the offsets for times."""
    produce(given=lines("r", 5))
    times = [int(time) for time in consume(form="%T\\n").split()]
    print("times in order:", times == sorted(times), "recent:", min(times) > 1_700_000_000_000)
    print("before the first:", kcat("-Q", "-t", f"{TOPIC}:0:1"), end="")
    print("the first's own:", kcat("-Q", "-t", f"{TOPIC}:0:{times[0]}"), end="")
    print("after the last:", kcat("-Q", "-t", f"{TOPIC}:0:{times[-1] + 1}"), end="")


def batches():
    produce("-T", given="one\n")
    print("after 1:", summary(consume()))
    produce("-X", "linger.ms=100", "-X", "batch.num.messages=10000", given=lines("record ", 10_000))
    print("after 10,000 more:", summary(consume()))


def sizes():
    produce(given="first\n")
    produce("-X", "message.max.bytes=900000", given="x" * 899_000 + "\n")
    produce("-X", "message.max.bytes=2000000", given="x" * 1_100_000 + "\n")
    print(consume(form="%o %S\\n"), end="")


def seek():
    produce(given=lines("r", 10))
    for words in (["-o", "beginning"], ["-o", "4"], ["-o", "-3"], ["-o", "end"], ["-o", "3", "-c", "2"]):
        print(" ".join(words), "->", consume(*words, form="%o:%s ").strip())
    print("beyond the end, earliest ->", consume("-o", "500", "-X", "auto.offset.reset=earliest", form="%o ").strip())


def groups():
    """A group reads all, then only what is new; another reads all again."""
    group = ["-X", "auto.offset.reset=earliest", "-e", "-q", "-f", "%o:%s "]
    produce(given=lines("a", 5))
    print("first:", kcat("-G", f"{RUN_ID}-group", *group, TOPIC))
    produce(given=lines("b", 3))
    print("again:", kcat("-G", f"{RUN_ID}-group", *group, TOPIC))
    print("another:", kcat("-G", f"{RUN_ID}-other", *group, TOPIC))


def regex():
    for name in ("one", "two"):
        produce(given=f"{name}\n", topic=f"{RUN_ID}-match-{name}")
    produce(given="not this\n", topic=f"{RUN_ID}-other")
    got = kcat("-G", f"{RUN_ID}-group", "-X", "auto.offset.reset=earliest", "-e", "-q", "-f", "%t %s\\n", f"^{RUN_ID}-match-.*")
    print("".join(sorted(got.splitlines(keepends=True))), end="")


def reset():
    produce(given=lines("r", 3))
    for where in ("earliest", "latest"):
        got = kcat("-G", f"{RUN_ID}-{where}", "-X", f"auto.offset.reset={where}", "-e", "-q", "-f", "%o ", TOPIC)
        print(where, "->", got.strip())


def idempotence():
    produce("-X", "enable.idempotence=true", "-X", "acks=all", given=lines("r", 1000))
    print(summary(consume()))


def list_():
    produce(given="r\n")
    print(kcat("-L", "-t", TOPIC), end="")
    print(kcat("-L", "-t", f"{RUN_ID}-missing", "-X", "allow.auto.create.topics=false"), end="")
    known = json.loads(kcat("-L", "-J"))
    print("controller:", known["controllerid"], "brokers:", known["brokers"])
    print([topic for topic in known["topics"] if topic["topic"] == TOPIC])


def json_():
    produce("-K", ":", "-H", "h=v", given="k:v\n")
    record = json.loads(kcat("-C", "-t", TOPIC, "-e", "-q", "-J"))
    record["ts"] = record["ts"] > 1_700_000_000_000
    print(json.dumps(record, sort_keys=True))


SCENARIOS = {
    run.__name__.rstrip("_"): run
    for run in (
        codecs, headers, nulls, timestamps, batches, sizes, seek, groups, regex, reset, idempotence, list_, json_
    )
}

SCENARIOS[sys.argv[1]]()
