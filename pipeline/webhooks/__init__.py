"""Webhooks: how the end of a task is told to those who asked (https://www.standardwebhooks.com).

sender.py    step(now): what is due in the queue is sent, some at a time, each in a thread of its own
post.py      one attempt: a signed POST to an address that was looked at, and what came of it
addresses.py which addresses may be called: public ones, and those listed
schedule.py  when the next attempt is due; pure
secret.py    the secret of the signatures

The messages themselves are made by the queue, in the transaction in which a task ends.
"""
