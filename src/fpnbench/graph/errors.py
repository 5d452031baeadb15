"""The one exception that means "the user asked for something that cannot be had"."""


class UserError(ValueError):
    """A mistake of the user's, told in one line with the value and what was allowed.

    The command line prints it without a traceback and exits with 2.
    """
