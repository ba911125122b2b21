"""Writes the ledger (see ledger.ts) with Python's sqlite3 module, default settings: ledger.py <database>"""
import sqlite3
import sys
import time

db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE IF NOT EXISTS counter (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL, total INTEGER NOT NULL)")
db.execute("INSERT OR IGNORE INTO counter VALUES (1, 0, 0)")
db.execute("CREATE TABLE IF NOT EXISTS entry (n INTEGER PRIMARY KEY, amount INTEGER NOT NULL, pad BLOB)")
db.commit()
n = db.execute("SELECT n FROM counter").fetchone()[0]
while True:
    n += 1
    amount = (n * 7919) % 1009
    db.execute("INSERT INTO entry VALUES (?, ?, randomblob(?))", (n, amount, (n * 31) % 2500))
    db.execute("UPDATE counter SET n = ?, total = total + ?", (n, amount))
    db.commit()
    if n % 50 == 0:
        time.sleep(0.005)
