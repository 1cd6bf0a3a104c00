"""Every error the package raises on purpose, and the exit code of the command line for each.

InrError                 1   anything else
 |- UsageError           2   an option or argument is wrong
 |- InputError           3   the signal to encode cannot be read
 |- CorruptFile          4   a damaged or invalid .inr
 |   `- NotInr           4   not an .inr at all
 |- UnsupportedFile      5   an .inr of an unknown version or feature
 |- LimitExceeded        6   a decoder limit (memory, samples, work)
 |- TargetMissed         7   a quality or size target was not met; the file is written
 |- VerificationFailed   8   the decoded signal differs from what the file or the source says
 |- BackendMissing       9   an engine, a device or an optional package is not there
 `- Interrupted        130   stopped by the user

A message says what went wrong, where, what was expected and what was found, in one line.
"""


class InrError(Exception):
    """Base of all errors of inrcodec."""

    exit_code = 1


class UsageError(InrError):
    exit_code = 2


class InputError(InrError):
    exit_code = 3


class CorruptFile(InrError):
    exit_code = 4


class NotInr(CorruptFile):
    pass


class UnsupportedFile(InrError):
    exit_code = 5


class LimitExceeded(InrError):
    exit_code = 6


class TargetMissed(InrError):
    exit_code = 7


class VerificationFailed(InrError):
    exit_code = 8


class BackendMissing(InrError):
    exit_code = 9


class Interrupted(InrError):
    exit_code = 130
