"""Where things are, and what the environment may say about it."""

import os
from pathlib import Path

INTEGRATION = Path(__file__).resolve().parent.parent
REPOSITORY = INTEGRATION.parent
RECORDED = INTEGRATION / "recorded"
EXPECTED = INTEGRATION / "expected"
TOOL = INTEGRATION / "reference" / "tool"
APICURIO = INTEGRATION / "reference" / "apicurio"
CACHE = Path(os.environ.get("OTTLA_CACHE", Path.home() / ".cache" / "ottla"))
OTTLA = Path(os.environ.get("OTTLA_BIN", REPOSITORY / "target" / "release" / "ottla")).absolute()
