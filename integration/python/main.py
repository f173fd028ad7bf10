"""The scenarios of confluent-kafka: the name of a scenario is the name of a function in one of these modules."""

import sys

sys.dont_write_bytecode = True

import admin  # noqa: E402
import bad_input  # noqa: E402
import bad_state  # noqa: E402
import compaction  # noqa: E402
import data_directory  # noqa: E402
import docs  # noqa: E402
import durability  # noqa: E402
import exactly_once  # noqa: E402
import full_disk  # noqa: E402
import groups  # noqa: E402
import new_protocol  # noqa: E402
import reading  # noqa: E402
import transactions  # noqa: E402
import writing  # noqa: E402

MODULES = (writing, reading, groups, admin, durability, docs, bad_input, transactions, exactly_once, new_protocol, bad_state, compaction, data_directory, full_disk)

name = sys.argv[1]
for module in MODULES:
    if name in module.SCENARIOS:
        module.SCENARIOS[name]()
        break
else:
    sys.exit(f"no scenario is named {name}")
