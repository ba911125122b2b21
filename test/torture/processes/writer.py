"""Carries out a script (see ../steps.ts) that comes on stdin, one step a line, with Python's sqlite3: writer.py <database>"""
import json
import sqlite3
import sys
import time


def connect():
    return sqlite3.connect(sys.argv[1], isolation_level=None)


db = connect()
for line in sys.stdin:
    step = json.loads(line)
    if "sleep" in step:
        time.sleep(step["sleep"] / 1000)
    elif "reopen" in step:
        db.close()
        db = connect()
    else:
        try:
            # executescript would begin with a COMMIT of its own; it does nothing outside of a transaction.
            if step["sql"] in ("COMMIT", "ROLLBACK") or ";" not in step["sql"]:
                db.execute(step["sql"]).fetchall()
            else:
                db.executescript(step["sql"])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            if db.in_transaction:
                db.execute("ROLLBACK")
