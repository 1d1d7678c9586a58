"""The one exception that is meant for the person at the keyboard."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """What is wrong, where (file, key, value) and what to do, in one line; a stage prints it and exits with 2."""


@contextmanager
def about(setting: str, kind: type[UserError] = UserError) -> Iterator[None]:
    """Put the name of a setting before the message of an error of this kind: the library does not know it."""
    try:
        yield
    except kind as error:
        raise UserError(f"{setting}: {error}") from error
