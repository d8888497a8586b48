"""The small corpus that ships with WavRAG, and spoken questions that it answers.

Below `DATA`: `corpus/recordings` and `corpus/documents` are what is indexed, `questions` holds the
recorded questions with `questions.json` (what each asks and where its answer stands), and
`NOTICE.md` says where every file comes from.
"""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parent / "data"
