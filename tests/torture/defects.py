"""Deliberate defects: each takes one mechanism out of the program and names the part of the suites that notices."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """In one file, this text becomes that; then what runs must fail."""

    name: str
    file: str
    find: str
    replace: str
    caught_by: str  # a lane of the torture with its options, or what pytest is told


_LEASES = "tests/integration/dispatch/test_leases.py"
_OUTCOMES = "tests/integration/dispatch/test_outcomes.py"
_SUPERVISOR = "tests/integration/supervisor/test_supervisor.py"
_LEASING = "tests/unit/queue/test_leasing.py"
_POWER = "torture power --only all"
_CRASH = "tests/integration/test_commit_crash.py"
_WATCH = "tests/integration/test_ingest_watch.py"

DEFECTS = (
    Defect(
        "no fsync of outputs",
        "pipeline/relay/atomic.py",
        "            _share(fd, like)\n            os.fsync(fd)\n",
        "            _share(fd, like)\n",
        "torture power --only data",
    ),
    Defect(
        "no fsync of the outputs' directory",
        "pipeline/relay/commit.py",
        "        _give_name(directory, claims, hashes[-1], token)\n        os.fsync(directory)\n",
        "        _give_name(directory, claims, hashes[-1], token)\n",
        _POWER,
    ),
    Defect(
        "commits are not flushed by SQLite",
        "pipeline/queue/sqlite.py",
        '"synchronous = EXTRA"',
        '"synchronous = OFF"',
        _POWER,
    ),
    Defect(
        "the WAL is not flushed at a commit",
        "pipeline/queue/sqlite.py",
        '"synchronous = FULL"',
        '"synchronous = NORMAL"',
        "torture power-wal --only all",
    ),
    Defect(
        "the queue's folder is not flushed",
        "pipeline/queue/sqlite_file.py",
        "    for each in (folder, *missing):\n        _sync(each.parent)\n",
        "    del missing\n",
        _POWER,
    ),
    Defect(
        "the JSON is put in place first",
        "pipeline/relay/commit.py",
        "        claims = Claims(source, directory, placed)\n        token",
        "        claims, hashes = Claims(source, directory, placed), [hashes[-1], *hashes[:-1]]\n        token",
        _CRASH,
    ),
    Defect(
        "outputs are written under their own names",
        "pipeline/outputs.py",
        '    return _fit(b"." + name, b".%s%s" % (token.encode(), TEMPORARY_SUFFIX))',
        '    return name if token else _fit(b"." + name, TEMPORARY_SUFFIX)',
        _CRASH,
    ),
    Defect(
        "done before the outputs are there",
        "pipeline/relay/outcomes.py",
        "        put = self._committer.put(held.prepared)\n"
        "        self._store.finish_commit(held.lease, outputs=put.outputs, warnings=put.warnings)\n",
        "        self._store.finish_commit(held.lease, outputs=held.prepared.outputs, warnings=())\n"
        "        self._committer.put(held.prepared)\n",
        "torture syscalls --only core:_kill_before_link",
    ),
    Defect(
        "a commit that was begun is not recovered",
        "pipeline/relay/dispatch.py",
        "            recover(self._store, self._committer, file)",
        "            del file",
        "torture syscalls --only core:_kill_before_link",
    ),
    Defect(
        "temporary files stay after a crash",
        "pipeline/relay/commit.py",
        "        finally:\n            atomic.remove(directory, left)",
        "        finally:\n            pass",
        _CRASH,
    ),
    Defect(
        "strangers' files are overwritten",
        "pipeline/relay/atomic.py",
        "        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)",
        "        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)",
        "tests/unit/relay/test_atomic.py tests/unit/relay/test_commit.py",
    ),
    Defect(
        "no fencing by token in the queue",
        "pipeline/queue/matching.py",
        "    return and_(file.c.id == lease.file_id, file.c.epoch == lease.epoch, file.c.token == lease.token)",
        "    return and_(file.c.id == lease.file_id)",
        _LEASING,
    ),
    Defect(
        "no fencing at the relay",
        "pipeline/relay/reception.py",
        "if held is None or held.worker != link.worker or not held.answers(message):",
        "if held is None:",
        _OUTCOMES,
    ),
    Defect(
        "the epoch does not grow",
        "pipeline/queue/leasing.py",
        "epoch=meta.c.epoch + 1",
        "epoch=meta.c.epoch",
        _LEASING,
    ),
    Defect(
        "what a dead core had leased stays leased",
        "pipeline/queue/leasing.py",
        "            change.files(leased, FileState.QUEUED, outcome=Outcome.LOST, values=_UNCHARGED)\n",
        "            del leased\n",
        "torture syscalls --only core:_kill_before_fdatasync_3",
    ),
    Defect(
        "leases run on the wall clock",
        "pipeline/runner.py",
        "self._part.step(time.monotonic())",
        "self._part.step(time.time())",
        "torture nemesis --only clock",
    ),
    Defect(
        "the fingerprint is not checked again",
        "pipeline/relay/outcomes.py",
        "if not held.file.fingerprint == seen == on_disk:",
        "if held.file.fingerprint != seen:",
        _OUTCOMES,
    ),
    Defect(
        "retries without end",
        "pipeline/relay/outcomes.py",
        "MOST_ATTEMPTS = 5",
        "MOST_ATTEMPTS = 10**9",
        _OUTCOMES,
    ),
    Defect(
        "no quarantine",
        "pipeline/queue/leasing.py",
        "CRASHES = 2",
        "CRASHES = 10**9",
        _LEASING,
    ),
    Defect(
        "a silent worker is never given up",
        "pipeline/relay/links.py",
        "        if self.unreachable >= GONE_PINGS:\n            return True\n"
        "        return self.unanswered > LIVENESS and now - self.heard_at >= HEARTBEAT_S * LIVENESS",
        "        return False",
        "torture syscalls --only supervisor:_kill_before_send",
    ),
    Defect(
        "a hung child is left alone",
        "pipeline/stage/supervise/keeper.py",
        "        return now - self._renewed_at > self.patience",
        "        return False",
        _SUPERVISOR,
    ),
    Defect(
        "a result is not kept until it is acknowledged",
        "pipeline/stage/supervise/ledger.py",
        "        self.kept[key(outcome)] = Kept(outcome, now)",
        "        del outcome, now",
        _SUPERVISOR,
    ),
    Defect(
        "no rescan",
        "pipeline/ingest/rescan.py",
        "            self._intake.notice_all(Source.RESCAN)\n        return STEP_S",
        "            pass\n        return STEP_S",
        _WATCH,
    ),
    Defect(
        "no word of an overflow",
        "pipeline/ingest/watch.py",
        "        if event.is_queue_overflow:\n            self._tell_lost()",
        "        if event.is_queue_overflow:\n            pass",
        _WATCH,
    ),
    Defect(
        "one look at a file is enough",
        "pipeline/ingest/settle.py",
        "        return watched.looks >= LOOKS and waited >= self._quiet_s",
        "        return watched.looks >= LOOKS or waited >= 0",
        "tests/unit/ingest/test_settle.py",
    ),
    Defect(
        "an open writer is not asked about",
        "pipeline/ingest/settle.py",
        "        if has_writer():",
        "        if has_writer() and False:",
        "tests/unit/ingest/test_settle.py",
    ),
    Defect(
        "no deduplication by the database",
        "pipeline/queue/inserts.py",
        "    return _insert(connection, table).on_conflict_do_nothing()",
        "    return _insert(connection, table)",
        "tests/unit/queue/test_arriving.py",
    ),
    Defect(
        "transcripts that lie there are not looked at",
        "pipeline/ingest/evidence.py",
        "        return found if current else None",
        "        return None",
        "tests/unit/ingest/test_arrivals.py",
    ),
    Defect(
        "answers before the commit",
        "pipeline/queue/writer.py",
        "                answers = [self._answer(connection, job) for job in group]\n",
        "                answers = [self._answer(connection, job) for job in group]\n"
        "                for answer in answers:\n                    answer()\n                answers = []\n",
        "tests/unit/queue/test_database.py",
    ),
    Defect(
        "a failed commit is believed to have failed",
        "pipeline/queue/writer.py",
        "if ticket is None or not self._backend.took_place(ticket):",
        "if True:",
        "torture syscalls --only core:_ENOSPC_in_fdatasync",
    ),
    Defect(
        "writers begin without the lock",
        "pipeline/queue/sqlite.py",
        'begin="BEGIN IMMEDIATE", pragmas',
        'begin="BEGIN", pragmas',
        "tests/unit/queue/test_database.py",
    ),
    Defect(
        "two cores on one queue",
        "pipeline/queue/sqlite_file.py",
        "        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        "tests/unit/queue/test_database.py",
    ),
    Defect(
        "a full disk fails the file",
        "pipeline/relay/outcomes.py",
        "EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})",
        "EXHAUSTED = frozenset[int]()",
        _OUTCOMES,
    ),
    Defect(
        "stopping charges an attempt",
        "pipeline/queue/leasing.py",
        '_UNCHARGED: Values = {"attempts": file.c.attempts - 1}',
        "_UNCHARGED: Values = {}",
        _LEASING,
    ),
    Defect(
        "finished windows are forgotten by a crash",
        "pipeline/relay/offers.py",
        "        resume = tuple(self._finished(file, held.text_key))",
        "        resume: tuple[Window, ...] = ()",
        _LEASES,
    ),
    Defect(
        "any state may follow any other",
        "pipeline/queue/changes.py",
        "        allowed = predecessors(to) & among",
        "        allowed = among",
        _LEASING,
    ),
)
