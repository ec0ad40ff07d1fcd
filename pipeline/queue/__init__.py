"""The queue: where work waits. The only room that knows SQL.

store.py       TaskStore, in parts: opening.py and arriving.py (for ingest), leasing.py and ending.py (for the relay),
               requests.py (whole tasks), delivering.py (for webhooks), spooled.py (for whom a client waits),
               monitoring.py, reading.py, census.py; statements.py is what they stand on
announcing.py  whom a task tells of its ends, and the messages that each end leaves
changes.py     the guarded UPDATE with its event: every change of a state goes through it
choosing.py    what is leased next
counting.py    files and seconds of tasks
events.py      what a change leaves for live listeners
forms.py       the UPDATEs that a change runs, each made once
inserts.py     INSERT … ON CONFLICT in each dialect
matching.py    conditions that several statements share
records.py     what is handed out and taken in besides Task and MediaFile
rows.py        one constructor a record
tables.py      the tables, their constraints and indexes; Alembic compares them with the migrations

database.py    an open queue: one core owns it, one thread writes it, anyone may look
backend.py     what a database is to the rest, whichever it is
sqlite_file.py one file of SQLite's, and sqlite.py: its connections, journals, version gate and errors
lock.py        what makes a process the one core of a file
postgres_server.py  one database of a PostgreSQL server, and postgres.py: its connections and errors
holding.py     sees now and then that the queue is ours and can be written
migrate.py     brings the schema up to date at start, after a copy
trim.py        keeps the events from growing without end
writer.py      the writing thread: what waits is grouped into one commit
"""
