"""A Python app with a backup. Seawall runs beside it as a process of its own, so the language does not matter.

In one terminal the app, in another the shipper, and after any accident the restore:

    python3 examples/python/app.py tides.db
    npx seawall ship tides.db ./bucket/tides
    npx seawall restore ./bucket/tides -o tides.db

The app does nothing for it but choose WAL mode.
"""

import math
import sqlite3
import sys
import time

path = sys.argv[1] if len(sys.argv) > 1 else "tides.db"
rows = int(sys.argv[2]) if len(sys.argv) > 2 else None  # for ever, unless given

db = sqlite3.connect(path)
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE IF NOT EXISTS tides (at REAL PRIMARY KEY, centimetres REAL NOT NULL)")
db.commit()

written = 0
while rows is None or written < rows:
    now = time.time()
    with db:  # one transaction
        db.execute("INSERT OR REPLACE INTO tides VALUES (?, ?)", (now, 180 * math.sin(now / 7)))
    written += 1
    time.sleep(0.1)
db.close()
