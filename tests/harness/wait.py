"""Waiting for conditions, never for time."""
import time


def wait_until(condition, what, seconds=10.0):
    """Polls until condition() is true, and returns its value; fails the test after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:g} s (last: {value!r})")
        time.sleep(0.01)
