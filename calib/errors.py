"""The exception tree of `calib` and `stereo`, one class per exit code.

Every message says what is wrong, the value, the limit and what to do. The command lines print it as one line and leave with
`exit_code`; anything that is not a `StereoError` is a bug of ours and leaves with 1.

==================== ==== =======================================================
class                exit meaning
==================== ==== =======================================================
(success)               0
(any other error)       1 a bug in this package
`UsageError`            2 a wrong option, setting or argument
`ConfigError`           2 a settings file with mistakes (all of them listed)
`InputError`            3 an image, video or data file that cannot be used
`CalibrationError`      4 a rig that is impossible, or a capture that cannot be solved
`ResourceError`         5 not enough memory, or a library of the system is missing
`OutputError`           6 a result that cannot be written
(reserved)              7 part of a batch failed
`QualityError`          8 the data are readable, but too poor for an answer
(interrupted)         130 stopped with Ctrl-C
==================== ==== =======================================================
"""


class StereoError(Exception):
    """Root of every error that a user can mend."""

    exit_code = 1


class UsageError(StereoError):
    """A wrong option, setting or argument."""

    exit_code = 2


class ConfigError(UsageError):
    """A settings file with mistakes; the message has one line for each."""


class InputError(StereoError):
    """An image, video or data file that is missing, damaged or of the wrong kind or size."""

    exit_code = 3


class CalibrationError(StereoError):
    """A rig that cannot exist, or a capture from which none can be solved."""

    exit_code = 4


class ResourceError(StereoError):
    """Not enough memory, or a library of the system is missing."""

    exit_code = 5


class OutputError(StereoError):
    """A result that cannot be written."""

    exit_code = 6


class QualityError(StereoError):
    """The data are readable, but too poor to answer from."""

    exit_code = 8
