"""The queue: where work waits. The only room that knows SQL.

tables.py      the tables, their constraints and indexes (what Alembic compares)
database.py    one SQLite file: the lock, the version gate, pragmas, errors in our words
migrate.py     brings the schema up to date at start, after a copy
writer.py      one thread: groups what waits into one commit
records.py     what leaves the room besides Task and MediaFile
rows.py        one constructor a record
changes.py     the guarded UPDATE with its event: every change of state goes through it
store.py       TaskStore, in four parts: arriving.py, leasing.py, requests.py, reading.py
"""
