"""The killable child.

batch.py   the running batch, its failures and memory
blame.py   which files to blame if this process dies, told before the step is taken
flight.py  one job on its way, and the messages about it
inbox.py   what arrives at the worker; its end of the channel
jobs.py    the jobs in hand, and room for more
model.py   the loaded engine
worker.py  Stage.step(): receive, decode, pack, transcribe, report
"""
