"""Bars on a terminal, one display for all; log lines elsewhere; nothing where nothing is wanted."""

import io
import logging
import sys
import time

import pytest

from spark_cot import progress as module
from spark_cot.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_log_lines_say_how_far_it_is(monkeypatch, caplog) -> None:
    monkeypatch.setattr(module, "_LOG_EVERY_SECONDS", -1.0)
    with caplog.at_level(logging.INFO), progress("Reading", 3, "scenes") as show:
        show(2)
    first, last = caplog.messages
    assert first == "Reading: 2 of 3 scenes"
    assert last.startswith("Reading: 3 scenes in 0.")


def test_lines_are_far_between(caplog) -> None:
    with caplog.at_level(logging.INFO), progress("Reading", 1000, "scenes") as show:
        for done in range(1000):
            show(done)
    assert len(caplog.messages) == 1


def test_work_that_fails_is_not_said_to_be_done(caplog) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(ValueError), progress("Reading", 3, "scenes"):
        raise ValueError
    assert not caplog.messages


def test_several_bars_share_the_terminal(monkeypatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("Ingesting", 4, "tasks") as outer, progress("Applying", 2, "tasks") as inner:
        outer(1)
        inner(2)
        time.sleep(0.3)  # the display is drawn ten times a second
    with progress("Verifying", 5, "scenes") as show:
        show(5)
    for title, count in (("Ingesting", "1/4"), ("Applying", "2/2"), ("Verifying", "5/5")):
        assert title in terminal.getvalue()
        assert count in terminal.getvalue()


def test_other_ranks_are_silent(monkeypatch, caplog) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO), progress("Training", 3, "steps", shown=False) as show:
        show(3)
    assert (terminal.getvalue(), caplog.messages) == ("", [])
