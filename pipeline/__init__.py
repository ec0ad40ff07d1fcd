"""The pipeline: a folder of recordings in, transcripts beside them out.

    folder, POST, cron, CLI
        │
        ▼
    ingest ──▶ queue ──▶ relay ──▶ stage ──▶ relay ──▶ talk.txt .srt .vtt .tsv .json
    settle     SQLite,   ZeroMQ    FFmpeg    commit          │
               PostgreSQL          Whisper                   ▼
                                                    status: GET /monitoring

ingest   how work arrives: watcher, rescans and the one door, intake.submit
queue    where work waits: tasks and files, every statement, every guard
relay    how work travels: leases, messages, and outputs put in place
stage    where work is done: a process of its own with the model in a child it can kill
webhooks how the end of a task is told to those who asked

descent   directories opened part by part, no link followed
durable   bytes and names that survive a power cut
errors    what can go wrong, in words          languages  whisper's table of names
formats   segments as txt, srt, vtt, tsv, json  journal    what becomes of files, as log lines
logs      the form of log lines
mounts    local or remote                      named      options that somebody spelled out, checked
options   what may be asked of one transcription
outputs   which file belongs to which source   runner     the one loop
settings  what the program was told            status     the monitoring answer
tasks     states and their transitions
"""

VERSION = "0.1.0"
