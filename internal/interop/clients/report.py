"""Runs test functions and reports each as one line of JSON, which the Go side reads."""

import json
import sys
import traceback


out = sys.stdout


def run(tests, *args):
    for test in tests:
        result = {"test": test.__name__, "ok": True}
        try:
            test(*args)
        except BaseException:  # a failed assertion, a time-out: all are told
            result = {"test": test.__name__, "ok": False, "error": traceback.format_exc()}
        print(json.dumps(result), file=out, flush=True)
    print(json.dumps({"done": len(tests)}), file=out, flush=True)
