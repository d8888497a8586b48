"""The packaged demo corpus, with spoken questions about it.

`DATA` contains the recordings and documents to index (`corpus/recordings`, `corpus/documents`),
the spoken questions with their transcripts and answer locations (`questions`,
`questions/questions.json`), and the licence and origin of every file (`NOTICE.md`).
"""

from __future__ import annotations

from pathlib import Path

# For evaluation only: neither the questions nor their voices are ever trained on.
DATA = Path(__file__).parent / "data"
