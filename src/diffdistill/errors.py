"""The one exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """What is wrong, where (file, key, value) and what to do, in one line; a stage prints it and exits with 2."""
