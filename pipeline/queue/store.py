"""TaskStore: every statement of the queue. Rows leave as frozen records; every guard derives from TRANSITIONS."""

from pipeline.queue.arriving import Arriving
from pipeline.queue.census import Counting
from pipeline.queue.delivering import Delivering
from pipeline.queue.ending import Ending
from pipeline.queue.leasing import Leasing
from pipeline.queue.monitoring import Monitoring
from pipeline.queue.opening import Opening
from pipeline.queue.reading import Reading
from pipeline.queue.records import (
    Event,
    EventKind,
    Lease,
    NewFile,
    Outcome,
    Overview,
    Page,
    Seconds,
    Span,
    Tally,
)
from pipeline.queue.requests import Requests
from pipeline.queue.spooled import Spooled

__all__ = [
    "Event",
    "EventKind",
    "Lease",
    "NewFile",
    "Outcome",
    "Overview",
    "Page",
    "Seconds",
    "Span",
    "Tally",
    "TaskStore",
]


class TaskStore(
    Opening, Arriving, Leasing, Ending, Requests, Delivering, Spooled, Monitoring, Reading, Counting
):
    """The queue over one Database. Every method is one transaction; it is durable when the method returns.

    A change that is not allowed raises IllegalTransitionError and changes nothing. Methods that take many files
    change those that may change, and raise when there were some and none may.
    """
