"""Jobs in a table on the disk: what was accepted, who works on it, and what came of it.

Every change is one transaction that takes the writer's lock first, so that no two workers claim one job, of whatever process they are;
and it is on the disk when its function returns.
"""

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inrcodec.errors import InrError
from inrcodec.serve.problems import Refused

VERSION = 1
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
RETRY_SECONDS = 10
LOCK_SECONDS = 30.0  # to wait for another process's transaction

_SCHEMA = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    options TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    heartbeat REAL,
    worker TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    progress TEXT,
    object TEXT,
    report TEXT,
    problem TEXT
);
CREATE INDEX jobs_by_state ON jobs (state, attempts, number);
CREATE INDEX jobs_by_source ON jobs (source);
CREATE TABLE origins (object TEXT NOT NULL, source TEXT NOT NULL, PRIMARY KEY (source, object)) WITHOUT ROWID;
"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A row; two that are equal say the same to a client.

    number     in order of acceptance
    source, object   ids in their libraries
    created, started, finished   seconds since 1970
    heartbeat  when its worker last said anything
    attempts   times that it was begun, but for those that ended with the server and not with the worker alone
    """

    number: int
    id: str
    state: str
    name: str
    source: str
    options: Mapping[str, Any]
    created: float
    started: float | None
    finished: float | None
    heartbeat: float | None = field(compare=False)
    worker: str | None = field(compare=False)
    attempts: int = field(compare=False)
    progress: Mapping[str, Any] | None
    object: str | None
    report: Mapping[str, Any] | None
    problem: Mapping[str, Any] | None

    @property
    def ended(self) -> bool:
        return self.state not in ("queued", "running")


class Queue:
    """The table in the file `path`. May be used by several threads, and by several processes at once. Raises InrError for one of another
    version.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self._change():
            found = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            if found == 0:
                for statement in _SCHEMA.split(";")[:-1]:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
            elif found != VERSION:
                raise InrError(f"{path.name}: schema version: expected {VERSION}, got {found}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # What clients do

    def add(self, *, name: str, source: str, options: Mapping[str, Any], most: int, keep: Callable[[], object]) -> Job:
        """Accept a job. `keep` puts its source where it belongs, when no other process removes sources. Raises Refused (429)."""
        with self._change():
            self.check_waiting(most)
            keep()
            told = {"id": f"job-{secrets.token_hex(8)}", "name": name, "source": source, "created": time.time()}
            rows = self._db.execute(
                "INSERT INTO jobs (id, state, name, source, options, created)"
                " VALUES (:id, 'queued', :name, :source, :options, :created) RETURNING *",
                told | {"options": json.dumps(options)},
            )
            return _job(rows.fetchone())

    def check_waiting(self, most: int) -> None:
        """Raises Refused (429) where as many jobs wait as may."""
        count = self.count("queued")
        if count >= most:
            raise Refused(429, f"jobs: {count} wait", headers={"Retry-After": str(RETRY_SECONDS), "Connection": "close"})

    def get(self, id: str) -> Job | None:
        return self.some([id]).get(id)

    def some(self, ids: Sequence[str]) -> dict[str, Job]:
        """Those of `ids` that there are."""
        rows = self._rows("SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?))", json.dumps(list(ids)))
        return {row["id"]: _job(row) for row in rows}

    def newest(self, *, before: int | None = None, most: int = 100) -> list[Job]:
        """The newest first, of those whose number is less than `before`."""
        limit = 2**63 - 1 if before is None else before
        return [_job(row) for row in self._rows("SELECT * FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?", limit, most)]

    def count(self, state: str) -> int:
        return int(self._rows("SELECT count(*) FROM jobs WHERE state = ?", state)[0][0])

    def cancel(self, id: str) -> Job | None:
        """The job as it was before; a worker that has it finds that it has not any more. None where it has ended, or is not there."""
        with self._change():
            found = self.get(id)
            if found is None or found.ended:
                return None
            self._db.execute("UPDATE jobs SET state = 'cancelled', finished = ?, worker = NULL WHERE id = ?", (time.time(), id))
            return found

    def forget(self, id: str) -> Job | None:
        """The job as it was, which has to have ended."""
        with self._change():
            rows = self._db.execute("DELETE FROM jobs WHERE id = ? AND state NOT IN ('queued', 'running') RETURNING *", (id,)).fetchall()
            return _job(rows[0]) if rows else None

    # What workers do

    def claim(self, worker: str) -> Job | None:
        """The job that is `worker`'s from now on: of those with the fewest attempts the first. None where none waits."""
        with self._change():
            rows = self._db.execute(
                "UPDATE jobs SET state = 'running', worker = :worker, started = :now, heartbeat = :now, attempts = attempts + 1"
                " WHERE number = (SELECT number FROM jobs WHERE state = 'queued' ORDER BY attempts, number LIMIT 1) RETURNING *",
                {"worker": worker, "now": time.time()},
            ).fetchall()
            return _job(rows[0]) if rows else None

    def has(self, worker: str, id: str) -> bool:
        """Whether the job is still that worker's."""
        return bool(self._rows("SELECT 1 FROM jobs WHERE id = ? AND worker = ? AND state = 'running'", id, worker))

    def beat(self, worker: str, id: str, progress: Mapping[str, Any] | None = None) -> None:
        """The worker lives; with what it has come to, if anything."""
        told = {"now": time.time(), "progress": None if progress is None else json.dumps(progress)}
        self._own(worker, id, "heartbeat = :now, progress = coalesce(:progress, progress)", told)

    def finish(
        self,
        worker: str,
        id: str,
        *,
        object: str | None = None,
        report: Mapping[str, Any] | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> bool:
        """Succeeded with an object, or failed with a problem; False where it is not that worker's any more."""
        told = {
            "now": time.time(),
            "state": "failed" if object is None else "succeeded",
            "object": object,
            "report": None if report is None else json.dumps(report),
            "problem": None if problem is None else json.dumps(problem),
        }
        changes = "state = :state, finished = :now, worker = NULL, object = :object, report = :report, problem = :problem"
        with self._change():
            done = self._own(worker, id, changes, told)
            if done and object is not None:
                self._db.execute("INSERT OR IGNORE INTO origins SELECT object, source FROM jobs WHERE id = ?", (id,))
            return done

    def give_back(self, worker: str, id: str, *, counted: bool) -> bool:
        """It waits again; an attempt that is not counted is as if it had not been."""
        told = {"back": 0 if counted else 1}
        return self._own(worker, id, "state = 'queued', worker = NULL, attempts = attempts - :back", told)

    def recover(self, worker: str | None = None) -> int:
        """Everything that runs (at `worker`, if one is given) waits again: its server is gone. How many those are."""
        changes = "UPDATE jobs SET state = 'queued', worker = NULL, attempts = max(0, attempts - 1)"
        with self._change():
            return self._db.execute(
                f"{changes} WHERE state = 'running' AND (:worker IS NULL OR worker = :worker)", {"worker": worker}
            ).rowcount

    # What is kept

    def oldest_ended(self, *, kept: int) -> list[str]:
        """Ids of those that ended, but for the `kept` newest."""
        sql = "SELECT id FROM jobs WHERE state NOT IN ('queued', 'running') ORDER BY number DESC LIMIT -1 OFFSET ?"
        return [str(row["id"]) for row in self._rows(sql, kept)]

    def unended(self) -> set[str]:
        return {str(row["id"]) for row in self._rows("SELECT id FROM jobs WHERE state IN ('queued', 'running')")}

    def release(self, source: str, remove: Callable[[], None], *, is_made_of_it: Callable[[str], bool] | None = None) -> bool:
        """Call `remove` for a source that no job needs, while none can be accepted that needs it; whether it was called.

        is_made_of_it: whether an object, which was encoded from the source, is still there: such a source is not removed, nor that of a
        job that succeeded. None: they are.
        """
        needed = "'queued', 'running'" if is_made_of_it is None else "'queued', 'running', 'succeeded'"
        with self._change():
            if self._rows(f"SELECT 1 FROM jobs WHERE source = ? AND state IN ({needed}) LIMIT 1", source):
                return False
            made = [str(row["object"]) for row in self._rows("SELECT object FROM origins WHERE source = ?", source)]
            if is_made_of_it is not None and any(is_made_of_it(each) for each in made):
                return False
            self._db.execute("DELETE FROM origins WHERE source = ?", (source,))
            remove()
            return True

    # SQL

    @contextmanager
    def _change(self) -> Iterator[None]:
        """A transaction; one inside another is part of it."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _own(self, worker: str, id: str, changes: str, told: Mapping[str, Any]) -> bool:
        """Change a job that is the worker's; whether it is."""
        with self._change():
            sql = f"UPDATE jobs SET {changes} WHERE id = :id AND worker = :worker AND state = 'running'"
            return self._db.execute(sql, {**told, "id": id, "worker": worker}).rowcount == 1

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()


def _job(row: sqlite3.Row) -> Job:
    told = dict(row)
    for name in ("options", "progress", "report", "problem"):
        told[name] = None if told[name] is None else json.loads(told[name])
    return Job(**told)
