"""What five paths over one prompt cost, against one, with the local model.

    python benchmarks/paths.py [--paths 5] [--tokens 128] [--runs 3] [--threads N] [--json]

The prompt holds five sources and a question. The same paths, by their seeds, are written in a batch
that reads the prompt once, and one after another, up to the number of tokens given (a stop of the
model's own ends a path earlier). Printed are the medians of the runs, and their ratio to one path,
which is the mean of those that were written one after another: under 2.5 is the aim for five in a
batch.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

from wavrag import config
from wavrag.answer.reasoning import ReasoningOptions, reason
from wavrag.generate import GenerateOptions, QuestionPart, answer_messages
from wavrag.generate.local import LocalGenerator, LocalOptions
from wavrag.types import Hit, Passage

SOURCE = (
    "Number {0}. The ferry to the island leaves from pier {0} at nine, and again at noon, on every"
    " day but Monday. The museum beside the harbour opens at ten; its café, which looks out over"
    " the water, an hour earlier. Whoever misses the last boat, at six, may sleep in the old"
    " lighthouse, where beds are kept ready until October."
)
QUESTION = "When could somebody who has breakfast in the café reach the island?"


def seconds(
    generator: LocalGenerator, paths: int, tokens: int, concurrency: int | None
) -> tuple[float, int]:
    """Wall time of the sampling, and the tokens that were written."""
    passages = [Passage(f"{n}.md", 0, SOURCE.format(n), title="Harbour") for n in range(1, 6)]
    hits = [Hit(passage, n, 1.0 / n, {}) for n, passage in enumerate(passages, start=1)]
    how = ReasoningOptions(paths=paths, max_tokens=tokens, adaptive=False, concurrency=concurrency)
    options = GenerateOptions(temperature=how.temperature)
    messages = answer_messages(QuestionPart(QUESTION), hits)
    reasoned = reason(generator, messages, options, how)
    written = reasoned.usage["sample"].output
    return reasoned.timings["sample"] / 1e3, written


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128, help="of each path, at most")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, help="default: WAVRAG_THREADS, or the processors")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    generator = LocalGenerator(options=LocalOptions(threads=arguments.threads))
    generator.load()
    kinds = {"batched": None, "one by one": 1}
    seconds(generator, 1, 8, None)  # warms it up
    taken: dict[str, list[tuple[float, int]]] = {name: [] for name in kinds}
    for _ in range(arguments.runs):
        for name, concurrency in kinds.items():
            run = seconds(generator, arguments.paths, arguments.tokens, concurrency)
            taken[name].append(run)
    generator.close()
    medians = {name: statistics.median(s for s, _ in runs) for name, runs in taken.items()}
    one = medians["one by one"] / arguments.paths
    figures: dict[str, Any] = {
        "threads": arguments.threads or config.threads(),
        "paths": arguments.paths,
        "tokens a path": arguments.tokens,
        "seconds": {name: round(s, 2) for name, s in {"one path": one, **medians}.items()},
        "ratio to one": {name: round(value / one, 2) for name, value in medians.items()},
        "tokens written": {name: runs[0][1] for name, runs in taken.items()},
    }
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print(
        f"{figures['threads']} threads, {arguments.paths} paths of up to {arguments.tokens} tokens"
    )
    print(f"  one path, on average {one:8.2f} s")
    for name in kinds:
        print(
            f"  {name:20} {medians[name]:8.2f} s {figures['ratio to one'][name]:6.2f} x"
            f" {figures['tokens written'][name]:6d} tokens"
        )


if __name__ == "__main__":
    main()
