"""Where an attempt's results go: its own prefix of the artifacts bucket, with its own credentials, each key once."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import boto3
import botocore.session
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.loaders import Loader, create_loader
from pydantic import BaseModel

from outpost.aws.conditional_writes import PreconditionFailedError, put_conditionally
from outpost.domain.artifacts import Artifact, Summary, chunk_key, stored_name
from outpost.domain.protocol import Assignment, Credentials
from worker.clock import SYSTEM_CLOCK, Clock
from worker.stop import Cause, Stopped

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_secretsmanager import SecretsManagerClient

Result = TypeVar("Result")

_log = structlog.get_logger()

_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=10, read_timeout=60)
READ_SECONDS = 300.0
"""How long reading what an attempt begins with is repeated: the reconciler gives preparations 15 minutes."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 10.0
_PASSING = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestTimeout", "SlowDown", "ThrottlingException"})
"""Errors below 500 that pass: credentials are renewed once the broker responds again (S3 API: Error responses)."""

MAX_ARTIFACT_BYTES = 5 * 2**30
"""The most that S3 takes in one request."""


class UploadError(Exception):
    """A result could not be stored."""

    refused = False
    """Whether S3 refused each request for it: it is not stored."""


class DownloadError(Exception):
    """An earlier result could not be read."""


class TooLargeError(UploadError):
    """A result is larger than what is stored."""


class DifferentError(UploadError):
    """Something else is stored under the name already."""


class UnconfirmedError(Exception):
    """Whether the summary is stored is not known: a request for it may have been carried out."""


class SecretError(Exception):
    """A secret that the task names could not be read."""


@cache
def _models() -> Loader:
    """Return what reads the descriptions of AWS's services; it keeps them, whosever credentials a session has."""
    return create_loader()


def _session(credentials: Credentials | None) -> boto3.Session:
    session = botocore.session.Session()
    session.register_component("data_loader", _models())
    if credentials is not None:
        session.set_credentials(credentials.access_key_id, credentials.secret_access_key, credentials.session_token)
    return boto3.Session(botocore_session=session)


def warm_up() -> None:
    """Read S3's description ahead of the first dispatch, which would wait for it: it is the longest of AWS."""
    _session(None).client("s3", config=_RETRIES)


class AttemptStore:
    """Writes under the attempt's prefix and reads its secrets.

    `check` runs before each write and may forbid it. `confirm` does the same, and asks the broker about the lease.
    """

    def __init__(self, assignment: Assignment, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._give_up_at = clock.monotonic()
        self._bucket = assignment.bucket
        self._prefix = assignment.prefix
        self.check: Callable[[], None] = lambda: None
        self.confirm: Callable[[], None] = lambda: None
        self._secret_credentials = assignment.secret_credentials
        self.use(assignment.credentials)

    def persist(self, seconds: float) -> None:
        """Repeat writing artifacts and the summary for so long from now on, where a failure may pass."""
        self._give_up_at = self._clock.monotonic() + seconds

    def use(self, credentials: Credentials) -> None:
        """Take new credentials over; requests that have begun finish with the old ones."""
        self._session = _session(credentials)
        self._s3: S3Client = self._session.client("s3", config=_RETRIES)

    def read_secrets(
        self, arns: Mapping[str, str], stage: str = "AWSCURRENT", *, required: bool = True
    ) -> dict[str, str]:
        """Return variable -> value; repeats what may pass. Raises `SecretError` naming a required variable.

        `stage`: which version, such as `AWSPREVIOUS` for the one before the last change. What is not required and
        cannot be read is left out.
        """
        sessions = {arn: each.credentials for each in self._secret_credentials for arn in each.arns}
        client = cache(self._secrets_client)
        values: dict[str, str] = {}
        for name, arn in arns.items():
            try:
                read = partial(client(sessions.get(arn)).get_secret_value, SecretId=arn, VersionStage=stage)
                values[name] = self._read(read)["SecretString"]
            except (BotoCoreError, ClientError, KeyError) as error:
                if required:
                    raise SecretError(f"the secret {name} cannot be read ({type(error).__name__})") from error
        return values

    def _secrets_client(self, credentials: Credentials | None) -> "SecretsManagerClient":
        session = _session(credentials) if credentials else self._session
        return session.client("secretsmanager", config=_RETRIES)

    def get_file(self, key: str, target: Path) -> None:
        """Read an object that the assignment names into a file. Raises `DownloadError`."""

        def download() -> None:
            with target.open("wb") as file:
                self._s3.download_fileobj(self._bucket, key, file)

        self._read_object(key, download)

    def read_beginning(self, key: str, size: int) -> bytes:
        """Read the first `size` bytes of an object that the assignment names. Raises `DownloadError`."""
        return self._read_object(key, lambda: self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read(size))

    def _read_object(self, key: str, request: Callable[[], Result]) -> Result:
        try:
            return self._read(request)
        except (BotoCoreError, ClientError) as error:
            raise DownloadError(f"{key} was not read ({type(error).__name__})") from error

    def _read(self, request: Callable[[], Result]) -> Result:
        return self._repeat(request, self._clock.monotonic() + READ_SECONDS)

    def put_chunk(self, number: int, body: bytes) -> None:
        """Store log chunk `number`, in one try. Raises `UploadError`, and what `check` raises."""
        self._put(chunk_key(self._prefix, number), body, "application/x-ndjson", give_up_at=self._clock.monotonic())

    def put_file(self, artifact: Artifact, file: Path, *, withheld: bool = False) -> None:
        """Store a file; a withheld one waits for its release. Raises `UploadError` and what `check` raises."""
        size = file.stat().st_size
        if size > MAX_ARTIFACT_BYTES:
            raise TooLargeError(f"{artifact} has {size / 2**30:.1f} GiB: no more than 5 GiB are stored")
        with file.open("rb") as body:
            self._put(self._prefix + stored_name(artifact, withheld=withheld), body, "text/plain; charset=utf-8")

    def put_record(self, artifact: Artifact, record: BaseModel) -> None:
        """Store a record as JSON. Raises `UploadError`, and what `check` raises."""
        self._put(self._prefix + artifact, record.model_dump_json(indent=2).encode(), "application/json")

    def put_summary(self, summary: Summary) -> None:
        """Store the summary, which says that all else is stored.

        Raises `UploadError` when S3 refused it, `UnconfirmedError` when it may be stored, and what `check` raises.
        What closes a dispatch without its worker stores a summary first: where there is another one already, the
        lease is lost, and this raises `Stopped`.
        """
        try:
            self.put_record(Artifact.SUMMARY, summary)
        except DifferentError as error:
            raise Stopped(Cause.LOST) from error
        except UploadError as error:
            if error.refused:
                raise
            raise UnconfirmedError(str(error)) from error

    def _put(self, key: str, body: bytes | IO[bytes], content_type: str, *, give_up_at: float | None = None) -> None:
        refused = True

        def put() -> None:
            nonlocal refused
            self.check()
            try:
                put_conditionally(self._s3, self._bucket, key, body, content_type)
            except (ClientError, BotoCoreError) as error:
                refused = refused and _is_refusal(error)
                raise

        try:
            self._repeat(put, self._give_up_at if give_up_at is None else give_up_at)
        except (PreconditionFailedError, ClientError, BotoCoreError) as error:
            kind = DifferentError if isinstance(error, PreconditionFailedError) else UploadError
            failure = kind(f"{key.removeprefix(self._prefix)} was not stored: {error}")
            failure.refused = refused
            raise failure from error

    def _repeat(self, request: Callable[[], Result], give_up_at: float) -> Result:
        """Make a request until it succeeds; raises its error when it does not pass, or has not by `give_up_at`."""
        pauses = self._clock.backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            try:
                return request()
            except (BotoCoreError, ClientError) as error:
                if not _passes(error) or self._clock.monotonic() >= give_up_at:
                    raise
                _log.warning("S3 or Secrets Manager failed; trying again", error=str(error))
            self._clock.sleep(next(pauses))


def _passes(error: BotoCoreError | ClientError) -> bool:
    """Return whether another try may succeed."""
    if isinstance(error, ClientError):
        return _status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR or error.response["Error"]["Code"] in _PASSING
    return isinstance(error, HTTPClientError | AwsConnectionError)


def _is_refusal(error: BotoCoreError | ClientError) -> bool:
    """Return whether S3 refused the one request that was made, so that it stored nothing.

    A conflict is no refusal: S3 still handles another write of the key, which may be an earlier try of this one.
    """
    if not isinstance(error, ClientError) or error.operation_name != "PutObject":
        return False
    if _status(error) == HTTPStatus.CONFLICT or isinstance(error.__cause__, ClientError):
        return False
    repeated = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
    return not repeated and HTTPStatus.BAD_REQUEST <= _status(error) < HTTPStatus.INTERNAL_SERVER_ERROR


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
