"""The scenarios of the schema registry that are written in Python: a scenario's name is that of a function in a module."""

import sys

sys.dont_write_bytecode = True

import auth  # noqa: E402
import calls  # noqa: E402
import comparison  # noqa: E402
import durability  # noqa: E402
import examples  # noqa: E402
import serializers  # noqa: E402
import topic  # noqa: E402
import validation  # noqa: E402

MODULES = (examples, serializers, validation, calls, auth, comparison, topic, durability)

name = sys.argv[1]
for module in MODULES:
    if name in module.SCENARIOS:
        module.SCENARIOS[name]()
        break
else:
    sys.exit(f"no scenario is named {name}")
