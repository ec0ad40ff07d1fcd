"""Who decides what is new in a directory decides alone; elsewhere others go on."""

import threading

from pipeline.ingest.admission import Admission


def enters(admission: Admission, unit: bytes, within: float) -> bool:
    """Tell whether another thread gets into a unit in so many seconds."""
    entered = threading.Event()

    def enter() -> None:
        with admission.to(unit):
            entered.set()

    threading.Thread(target=enter, daemon=True).start()
    return entered.wait(within)


def test_one_at_a_time_decides_what_is_new_in_a_unit() -> None:
    admission = Admission()
    with admission.to(b"talks"):
        assert not enters(admission, b"talks", 0.05)
    assert enters(admission, b"talks", 10)


def test_a_unit_that_is_taken_in_holds_up_no_other() -> None:
    admission = Admission()
    with admission.to(b"talks"):
        assert enters(admission, b"meetings", 10)


def test_nothing_stays_of_units_that_nobody_enters() -> None:
    admission = Admission()
    with admission.to(b"talks"):
        assert list(admission._locks) == [b"talks"]
    assert list(admission._locks) == []
