"""Errors a person may read. Only where a page, a program or a command is answered do they become messages."""


class UserError(Exception):
    """Something the user can act on; `str(error)` is one or two plain sentences."""


class InputError(UserError):
    """A value was refused before any work: names the field, the value and the limit."""

    def __init__(self, field: str, value: object, limit: str):
        self.field, self.value, self.limit = field, value, limit
        super().__init__(f"{field}: {show(value)} is not accepted; {limit}.")

    def __reduce__(self) -> tuple:
        # Errors travel between processes; a value that was refused may be anything, so its text goes.
        return type(self), (self.field, show(self.value), self.limit), {"args": self.args}


class ModelError(UserError):
    """A model cannot be found, reached, trusted or loaded."""


class PictureError(UserError):
    """A file is no picture of ours, is damaged, or is too large to be read safely."""


class CapacityError(UserError):
    """Memory or disk ran out; the message says what to lower."""


def show(value: object, limit: int = 60) -> str:
    """`value` as it stands in a message: short, on one line, strings quoted."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}… ({len(text)} characters)"
