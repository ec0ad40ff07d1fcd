"""How work arrives: four doors, one intake.

    watch ── notice ──┐                     ┌─ arrivals ── scan, evidence, judge ──┐
    rescan ─ notice ──┼─ intake.Intake ─────┤                                      ├─ queue (settling)
    API, CLI ─ submit ┘   (step, submit)    ├─ requests ── scan, evidence, judge ──┘       │
                                            └─ settling ── settle, writers ── queued, or skipped

beneath   paths from outside, never followed out of the workdir
root      is the workdir really there, or only unmounted?
ignore    which names are no work of ours
scan      directory -> media files, by stat alone
evidence  the transcript that lies beside a source
judge     known, changed, or new? pure
placing   which task a file belongs to, and with which options
arrivals  what watcher and rescan find
requests  what somebody asks for
settle    is it still being written? pure; writers asks the kernel
settling  settling files, looked at until they are ready
cron      crontab syntax, with cron's own meaning; pure
folder_options  whisper.toml
"""
