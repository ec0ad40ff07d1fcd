"""Where work is done: a process of its own, without SQL and HTTP. Core <-> supervisor <-> worker.

Job -> decode (source -> FFmpeg -> clips) --clips--> pack (tracks -> windows) --windows--> transcribe (running batch)
                                                       <-----------replies-----------'
    -> Progress, Result

decode/      a media file -> 16 kHz mono, streamed, ahead of need, in bounded memory
pack/        samples -> clips; a track is one file's cursor; the packer takes windows of many files in turn; pure
quality.py   loops, phantoms, coverage -> warnings; pure
supervise/   starts, watches and kills the worker; speaks to the core; no torch
transcribe/  the only place of torch, whisper and silero
work/        the worker: receive, decode, pack, transcribe, report
"""
