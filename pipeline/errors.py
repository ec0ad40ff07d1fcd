"""The PipelineError family. The docstring of a class is its message: what happened and what to do."""

from __future__ import annotations

import inspect
from typing import ClassVar


class PipelineError(Exception):
    """The pipeline could not go on."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    explains: ClassVar[bool] = (
        False  # the docstring follows the detail; else it stands in where there is none
    )

    def __init__(self, detail: str = "") -> None:
        message = inspect.cleandoc(type(self).__doc__ or "")
        super().__init__(f"{detail}: {message}" if detail and self.explains else detail or message)


# ---- what the person or program asked for is not right (exit 2, HTTP 400/404/409) ----


class UsageError(PipelineError):
    """The request is not valid."""

    code = "usage"
    exit_code = 2


class BadOptionsError(UsageError):
    """An option is not known or has a value that it cannot take."""

    code = "bad_options"


class BadPathError(UsageError):
    """The path must name a directory or media file below the workdir: relative, without '..', NUL or a symlink that leaves it."""  # noqa: E501

    code = "bad_path"


class OutsideError(BadPathError):
    """A link leads out of the workdir; put the file itself there, or a link that stays inside."""

    code = "outside_workdir"
    explains = True


class NotFoundError(PipelineError):
    """There is no such directory, file or task."""

    code = "not_found"


class ConflictError(PipelineError):
    """The present state forbids this."""

    code = "conflict"


class UnavailableError(PipelineError):
    """The service cannot accept work right now; try again later."""

    code = "unavailable"


class CallbackRefusedError(PipelineError):
    """Its address is not a public one, and not listed in --callback_allow."""

    code = "callback_refused"


# ---- the environment is not usable (exit 3) ----


class EnvironmentUnusableError(PipelineError):
    """The environment is not usable."""

    code = "environment"
    exit_code = 3


class DatabaseLockedError(EnvironmentUnusableError):
    """Another service already owns this queue; stop it first, or give this one a --database_url of its own."""

    code = "database_locked"
    explains = True


class DatabaseNewerError(EnvironmentUnusableError):
    """The database was written by a newer version of this program; upgrade it, or restore the copy made before."""

    code = "database_newer"
    explains = True


class WorkdirUnusableError(EnvironmentUnusableError):
    """The workdir cannot be used."""

    code = "workdir"


class FFmpegMissingError(EnvironmentUnusableError):
    """No FFmpeg was found: install the 'ffmpeg' package or 'pip install imageio-ffmpeg'."""

    code = "no_ffmpeg"
    explains = True


class ModelUnavailableError(EnvironmentUnusableError):
    """The model's weights could not be had."""

    code = "model_unavailable"


class GpuUnavailableError(EnvironmentUnusableError):
    """--use_gpu was given, but torch sees no usable CUDA device."""

    code = "no_gpu"
    explains = True


class RelayUnsafeError(EnvironmentUnusableError):
    """The relay binds to 127.0.0.1 only, as its messages are not encrypted; use a loopback --relay_bind."""

    code = "relay_unsafe"
    explains = True


class KeysFileError(EnvironmentUnusableError):
    """The file of API keys cannot be used; mend it, or make one with 'whisper-transcription keys api add'."""

    code = "keys_file"
    explains = True


# ---- the queue's own guards ----


class IllegalTransitionError(PipelineError):
    """A state change was refused: the row was not in a state, epoch and token that allow it."""

    code = "illegal_transition"
    explains = True


# ---- one media file cannot be read or transcribed (a file's `error.code`) ----


class MediaError(PipelineError):
    """The file could not be transcribed."""

    code = "media"
    explains = True


class EmptyFileError(MediaError):
    """The file is empty (0 bytes); copy it again."""

    code = "empty"


class NotMediaError(MediaError):
    """The content is not audio or video that FFmpeg can read, whatever the name says; replace or remove the file."""

    code = "not_media"


class NoAudioError(MediaError):
    """The file has no audio track: there is nothing to transcribe; replace or remove it."""

    code = "no_audio"


class CorruptError(MediaError):
    """No audio could be decoded: the file is damaged; copy it again from its source."""

    code = "corrupt"


class TooLongError(MediaError):
    """No recording is so long; check what it is, and cut it into parts."""

    code = "too_long"


class UnreadableError(MediaError):
    """The file cannot be opened: permission denied; give the service's user read access (chmod), it will be tried again."""  # noqa: E501

    code = "unreadable"


class ReadFailedError(MediaError):
    """Reading the file failed; it will be tried again."""

    code = "read_failed"


class GoneError(MediaError):
    """The file was removed before it was transcribed."""

    code = "gone"


class ChangedError(MediaError):
    """The file changed while it was transcribed; it will be done again."""

    code = "changed"


class TooSlowError(MediaError):
    """Decoding made no progress and was stopped; copy the file again, or convert it."""

    code = "decode_stalled"


class OutputsUnwritableError(MediaError, OSError):
    """The outputs could not be written; they are tried again by themselves, once this is mended."""

    code = "outputs_unwritable"

    def __init__(self, detail: str, number: int | None) -> None:
        super().__init__(detail)
        self.errno = number
