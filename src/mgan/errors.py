"""What a user may get wrong; in a file of its own so that checking a configuration does not import torch."""


class UserError(Exception):
    """Something only the user can mend, said in one sentence; the command line prints it and exits with 2."""
