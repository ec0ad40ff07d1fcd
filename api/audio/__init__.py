"""OpenAI's audio API: whoever speaks to theirs speaks to this service by changing the base URL.

answers  what a transcript looks like in each response_format
errors   OpenAI's body of an error
fields   what a form asks for
models   which names a client may give
pieces   a transcript told piece by piece, while it is made
spool    where a recording lies until its client is answered
waiting  a client that waits, told by the relay
"""
