"""The queue: where work waits. The only room that knows SQL.

store.py       TaskStore, in five parts: opening.py and arriving.py (for ingest), leasing.py (for the relay),
               requests.py (whole tasks), reading.py; statements.py is what they stand on
changes.py     the guarded UPDATE with its event: every change of a state goes through it
database.py    an open queue: one core owns it, one thread writes it, anyone may look
matching.py    conditions that several statements share
migrate.py     brings the schema up to date at start, after a copy
records.py     what is handed out and taken in besides Task and MediaFile
rows.py        one constructor a record
sqlite.py      what is SQLite's own: connections, journals, the version gate, its errors in our words
tables.py      the tables, their constraints and indexes; Alembic compares them with the migrations
writer.py      the writing thread: what waits is grouped into one commit
"""
