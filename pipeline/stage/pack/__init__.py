"""Samples -> clips -> windows of many files, in turn. Pure, but for exact mode's spool.

context.py        the prompt that a file's earlier windows make
cut.py            samples and speech -> clips of at most 30 s
exact.py          ExactTrack: whisper's own loop over one file
hallucination.py  whisper's skipping of silences around inventions
packer.py         Packer: which windows join the running batch next
spool.py          samples on disk, for exact mode's second pass
thresholds.py     whisper's rules for a reply
timeline.py       a window's replies -> segments of the file
track.py          Track: one file's cursor, windows independent
"""
