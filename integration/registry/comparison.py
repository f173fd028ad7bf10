"""Ottla's answers held against those of Apicurio that are recorded, and against Confluent's where Apicurio is known to differ."""

import json
import os
import sys

import side_by_side
from kit import REGISTRY


def compare():
    """Prints, for each file, how many answers are Apicurio's and how many are judged; and each that is neither."""
    judged = side_by_side.judgements()
    for name, answers in side_by_side.ask_all(REGISTRY).items():
        counts = {}
        recorded = side_by_side.recorded(name)
        if len(recorded) != len(answers):
            sys.exit(f"{name}: {len(answers)} requests, {len(recorded)} recorded answers: record again")
        for number, ((line, answer), theirs) in enumerate(zip(answers, recorded)):
            verdict = side_by_side.verdict(answer, theirs, judged[name].get(number))
            counts[verdict] = counts.get(verdict, 0) + 1
            if verdict.startswith("other"):
                print(f"{name} {number}: {line[:200]}\n    Ottla    {show(answer)}\n    Apicurio {show(theirs)}")
        print(f"{name}: {len(answers)} requests;", ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))


def show(answer):
    return f"{answer['status']} {json.dumps(answer['body'])[:int(os.environ.get('WIDTH', 300))]}"


SCENARIOS = {"side-by-side": compare}
