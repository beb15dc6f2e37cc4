"""The one exception a user is meant to read."""


class InputError(ValueError):
    """Something the user gave is wrong.

    The message is one line: which file, key or frame, what was found and what
    was expected. The command line prints it without a traceback and exits with
    code 2.
    """
