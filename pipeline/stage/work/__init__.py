"""The killable child.

blame.py   which files to blame if this process dies, told before the step is taken
flight.py  one job on its way, and the messages about it
inbox.py   what arrives at the worker; its end of the channel
jobs.py    the jobs in hand, and room for more
model.py   the loaded engine, its failures and memory
worker.py  Stage.step(): receive, decode, pack, transcribe, report
"""
