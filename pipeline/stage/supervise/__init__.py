"""The thin process that outlives its child.

__main__.py    the process
channel.py     the supervisor's end of the channel
child.py       the worker as the supervisor sees it: started, killed, buried
keeper.py      keeps a child running: backoff, patience
ledger.py      what the supervisor owes the core
supervisor.py  one iteration: the core, the child, what is owed
uplink.py      the DEALER
"""
