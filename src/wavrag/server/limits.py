"""Fixed limits of the server; the adjustable ones are in `ServerOptions`."""

MAX_REQUEST_BYTES = 32 << 20  # two minutes of 16-bit stereo at 48 kHz are 31 MB in base64
MAX_UPLOAD_FILES = 100  # in one upload; all are checked before any is accepted
MAX_TEXT_BYTES = 64 << 20  # a text document is parsed in memory; recordings are streamed
MAX_QUESTION_SECONDS = 120.0  # of a spoken question, which is decoded in memory
MAX_CLIP_SECONDS = 600.0  # of a span cut from a recording for playback
MAX_SPEECH_CHARS = 4096  # of a text to speak, as in OpenAI's API
MAX_EMBED_INPUTS = 256  # in one request for embeddings
MAX_QUESTION_CHARS = 20_000
MAX_URL_CHARS = 1_500  # two of them, percent-encoded, fit the 64 KiB head that uvicorn reads
MAX_HITS = 100
MAX_ANSWER_TOKENS = 4096
MAX_HISTORY_TURNS = 100
MAX_LISTED = 1000  # documents or jobs in one reply

BODY_TIMEOUT = 30.0  # seconds without a byte of the body; stops slow-loris clients
KEEP_ALIVE_SECONDS = 15.0  # between comments in an idle event stream; nginx closes one after 60 s
START_TIMEOUT = 10.0  # seconds for the first message on `/v1/live`

# On two cores, 4 clients get 52 searches a second and 1 client 33 (benchmarks/http_search.py).
CONCURRENT_COMPUTATIONS = 4
CONCURRENT_SPEECH = 2  # and transcriptions

MIN_FREE_BYTES = 256 << 20  # of disk that uploads leave free for the index
MAX_ENDED_JOBS = 1000  # whose outcome can still be queried
MAX_JOB_ATTEMPTS = 10  # at a job that fails because of the disk, or that kills the process
