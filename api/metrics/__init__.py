"""What Prometheus is told: docs/metrics.md lists all of it, deploy/ shows it and warns of it.

flow      what becomes of files, counted as it happens
http      how requests are answered
state     how things stand when somebody asks: queue, stages, disks
figures   the three together, in a registry of their own for each core
"""
