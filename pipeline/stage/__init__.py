"""Where work is done: a process of its own, without SQL and HTTP. Core <-> supervisor <-> worker.

Job -> ahead (source -> ffmpeg -> decode -> cut) --clips--> track --requests--> pack --batch--> model
                                                              <------------replies--------------'
    -> Progress, Result

ahead.py          decoding ahead in threads: few at work, clips in memory bounded
channel.py        the supervisor's end of the channel
child.py          the worker as the supervisor sees it: started, killed, buried
context.py        the prompt that a file's earlier windows make; pure
cut.py            samples and speech -> clips of at most 30 s; pure
declared.py       how long a file says it is, where FFmpeg does not tell
decode.py         a media file -> 16 kHz mono, streamed
exact.py          ExactTrack: whisper's own loop over one file; pure but for its spool
ffmpeg.py         FFmpeg's binary, command line, limits and complaints
flight.py         one job on its way, and the messages about it
hallucination.py  whisper's skipping of silences around inventions; pure
inbox.py          what arrives at the worker; its end of the channel
jobs.py           the jobs in hand, and room for more
keeper.py         keeps a child running: backoff, patience
ledger.py         what the supervisor owes the core
model.py          the loaded engine, its failures and memory
pack.py           Packer: windows of many files -> batches; pure
quality.py        loops, phantoms, coverage -> warnings; pure
source.py         the file as one descriptor: opened safely, hashed, confirmed
spool.py          samples on disk, for exact mode's second pass
supervisor.py     starts, watches and kills the worker; speaks to the core
thresholds.py     whisper's rules for a reply; pure
track.py          Track: one file's cursor, windows independent; pure
transcribe/       the only place of torch, whisper and silero
uplink.py         the supervisor's DEALER
worker.py         Stage.step(): receive, decode, pack, transcribe, report
"""
