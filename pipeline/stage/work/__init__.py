"""The killable child.

batch.py   the running batch, its failures and memory
blame.py   which files to blame if this process dies, told before the step is taken
flight.py  one job on its way, and the messages about it
inbox.py   what arrives at the worker; its end of the channel
jobs.py    the jobs in hand, and room for more
meter.py   figures: how busy the device is, how full the batch
model.py   the loaded engine
stage.py   Stage.step(): receive, decode, pack, transcribe, report
worker.py  the process around it
"""
