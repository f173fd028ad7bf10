#!/usr/bin/env python3
"""Writes protoc's descriptors, as Python's generated code has them, into the table of texts on standard input:
`pip install grpcio-tools`, then descriptors.py < texts.jsonl. What protoc does not take has none."""

import ast
import base64
import json
import pathlib
import re
import sys
import tempfile

import grpc_tools
from grpc_tools import protoc

HERE = pathlib.Path(__file__).resolve().parent
INCLUDES = [pathlib.Path(grpc_tools.__file__).parent / "_proto", HERE / "../../../schema/src/protobuf/imports"]


def descriptor(case):
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        files = {**case.get("dependencies", {}), "default": case["text"]}
        for name, text in files.items():
            (root / name).write_text(text, newline="")
        includes = [f"-I{path}" for path in [root, *INCLUDES]]
        if protoc.main(["protoc", *includes, f"--python_out={root}", "default"]) != 0:
            return None
        code = (root / "default_pb2.py").read_text()
        # Of the whole file this is the descriptor: a bytes literal.
        (literal,) = re.findall(r"AddSerializedFile\((b(?:'.*?(?<!\\)'|\".*?(?<!\\)\"))\)", code)
        return base64.b64encode(ast.literal_eval(literal)).decode()


for line in sys.stdin:
    case = json.loads(line)
    case.pop("descriptor", None)
    if "error" not in case and (found := descriptor(case)):
        case["descriptor"] = found
    print(json.dumps(case, ensure_ascii=False, separators=(",", ":")))
