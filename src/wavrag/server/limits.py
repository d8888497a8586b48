"""Fixed limits of the server; the adjustable ones are in `ServerOptions`."""

MAX_REQUEST_BYTES = 32 << 20  # two minutes of 16-bit stereo at 48 kHz are 31 MB in base64
MAX_UPLOAD_FILES = 100  # in one upload; all are checked before any is accepted
MAX_TEXT_BYTES = 64 << 20  # a text document is parsed in memory; recordings are streamed
MAX_QUESTION_SECONDS = 120.0  # of a spoken question, which is decoded in memory
MAX_CLIP_SECONDS = 600.0  # of a span cut from a recording for playback
MAX_SPEECH_CHARS = 4096  # of a text to speak, as in OpenAI's API
MAX_EMBED_INPUTS = 256  # in one request for embeddings
MAX_QUESTION_CHARS = 20_000
MAX_FILTER_CHARS = 2_000  # a list of 1,000 values takes an eighth of a second
MAX_URL_CHARS = 1_500  # two of them, percent-encoded, fit the 64 KiB head that uvicorn reads
MAX_HITS = 100
MAX_ANSWER_TOKENS = 4096
MAX_HISTORY_TURNS = 100
MAX_LISTED = 1000  # documents or jobs in one reply

MAX_EMBED_CHARS = 1_000_000  # of one request for embeddings

# Connections. At a limit, a new one replaces one that waits for its client.
MAX_CONNECTIONS = 512  # open at a time
MAX_UNAUTHENTICATED = 384  # without a valid token; the others are kept for users with one
MAX_CLIENT_CONNECTIONS = 128  # of one address without a valid token
HEAD_TIMEOUT = 10.0  # seconds for the head of a request, however its bytes arrive
BODY_TIMEOUT = 30.0  # seconds without a byte of the body
BODY_GRACE = 20.0  # seconds of waiting for a body before it needs MIN_BODY_RATE
MIN_BODY_RATE = 1000.0  # bytes per second of waiting; stops bodies sent byte by byte
WRITE_TIMEOUT = 20.0  # seconds in which a client has to read a buffer of 48 KiB of a reply
CLOSE_TIMEOUT = 5.0  # seconds in which a client has to read the end of a closed connection
LINGER_SECONDS = 2.0  # in which a client may read the reply to a body that was not read
MAX_STREAM_EVENTS = 20_000  # of an answer, held for a client that reads slowly
KEEP_ALIVE_SECONDS = 15.0  # between comments in an idle event stream; nginx closes one after 60 s
START_TIMEOUT = 10.0  # seconds for the first message on `/v1/live`
TOKEN_SECONDS = 30.0  # between checks of the token of an open voice connection
LIVE_SILENCE = 10.0  # seconds without a message until a client loses its turn
LIVE_TIMEOUT = 300.0  # seconds without a message until the connection is closed
MAX_LIVE = 64  # connections to `/v1/live` that have sent their options
MAX_CLIENT_LIVE = 32  # of one address
MAX_LIVE_SECONDS = 30.0  # of a turn; 1 MB of samples
MAX_LIVE_LEAD = 10.0  # seconds by which audio may arrive faster than it is spoken

# On two cores, 4 clients get 52 searches a second and 1 client 33 (benchmarks/http_search.py).
CONCURRENT_COMPUTATIONS = 4
CLIENT_COMPUTATIONS = 3  # of one client, so that another one need not wait
CONCURRENT_FILES = 2  # uploads being checked, spans being cut
CONCURRENT_SPEECH = 2  # and transcriptions
CONCURRENT_EMBEDDINGS = 1  # requests; the embedder itself uses all processors
MAX_WAITING = 64  # searches and other short work; further requests get 429
MAX_WAITING_FILES = 32
MAX_WAITING_SPEECH = 16
MAX_WAITING_EMBEDDINGS = 8
MAX_WAITING_ANSWERS = 16
MAX_BACKLOG = 60.0  # seconds of work, by estimate, that requests for embeddings may wait for
MAX_YIELD = 0.5  # seconds for which a step of longer work waits for searches to end

MIN_FREE_BYTES = 256 << 20  # of disk that uploads leave free for the index
ORPHAN_SECONDS = 24 * 3600.0  # age from which a received file that nothing refers to is deleted
MAX_ENDED_JOBS = 1000  # whose outcome can still be queried
MAX_JOB_ATTEMPTS = 10  # at a job that fails because of the disk, or that kills the process
