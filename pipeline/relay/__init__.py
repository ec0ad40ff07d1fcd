"""How work travels: leases out to the stages, transcripts back, and their files into place.

store --lease--> Dispatch --Job--> stage --Progress, Result--> Dispatch --> Outcomes --> Committer, store

atomic.py     files that appear whole or not at all
commit.py     transcripts become files, the JSON last
dispatch.py   Dispatch.step(): receive, watch, save, settle, lease
drafts.py     what a transcript's files will hold
links.py      what the core knows of each worker and of each job that is out
messages.py   typed messages, one encode, one decode
naming.py     which names its files may take
offers.py     whose turn it is; leases become jobs
outcomes.py   what becomes of a job that ended
reception.py  what the core makes of each message
report.py     transcription-status.json and .txt
retries.py    when a file that failed for a passing reason is tried again
sockets.py    the ROUTER
vigil.py      watching the stages: silence, standstill, jobs not accepted
"""
