"""Runs schemathesis with the arguments that follow, in a folder that is gone afterwards: whatever it wants to remember
for the next time would make that run another one."""

import os
import sys
import tempfile

with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
    os.environ["HOME"] = folder
    from schemathesis.cli import schemathesis

    sys.exit(schemathesis(sys.argv[1:], standalone_mode=True))
