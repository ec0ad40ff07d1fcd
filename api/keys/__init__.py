"""Keys: who may ask this service for what.

key       one key: what is remembered of it, and the secret that only its owner has
file      the file of keys, changed by the command line and the service alike
ring      the file in memory: looked up on the request path, read again beside it
scopes    which route asks for which scope; what is not in its table is closed
guard     the dependency in front of every route
browsers  those that showed a key and carry a cookie instead
exposure  what is said where the API can be reached from elsewhere
commands  `keys api add`, `list`, `revoke`
"""
