"""Time of several reasoning paths compared with one, with the local model.

    python benchmarks/paths.py [--paths 5] [--tokens 128] [--runs 3] [--threads N] [--json]

Prints median times and their ratio to one path, for paths generated in a batch (the prompt is read
once) and one after another, with the same seeds. The prompt contains five sources and a question.
One path is the mean of those generated one after another. The target for five paths in a batch is a
ratio under 2.5. A path may end before `--tokens`.
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
    """Measure the time of sampling in seconds, and count the generated tokens."""
    passages = [Passage(f"{n}.md", 0, SOURCE.format(n), title="Harbour") for n in range(1, 6)]
    hits = [Hit(passage, n, 1.0 / n, {}) for n, passage in enumerate(passages, start=1)]
    reasoning_options = ReasoningOptions(
        paths=paths, max_tokens=tokens, adaptive=False, concurrency=concurrency
    )
    options = GenerateOptions(temperature=reasoning_options.temperature)
    messages = answer_messages(QuestionPart(QUESTION), hits)
    result = reason(generator, messages, options, reasoning_options)
    tokens_generated = result.usage["sample"].output
    return result.timings["sample"] / 1e3, tokens_generated


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=5)
    parser.add_argument(
        "--tokens", type=int, default=128, help="maximum length of a path (default: 128)"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, help="default: WAVRAG_THREADS, or the number of cores"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    generator = LocalGenerator(options=LocalOptions(threads=arguments.threads))
    generator.load()
    kinds = {"batched": None, "one by one": 1}
    seconds(generator, 1, 8, None)  # warms it up
    measurements: dict[str, list[tuple[float, int]]] = {name: [] for name in kinds}
    for _ in range(arguments.runs):
        for name, concurrency in kinds.items():
            run = seconds(generator, arguments.paths, arguments.tokens, concurrency)
            measurements[name].append(run)
    generator.close()
    medians = {name: statistics.median(s for s, _ in runs) for name, runs in measurements.items()}
    one_path = medians["one by one"] / arguments.paths
    figures: dict[str, Any] = {
        "threads": arguments.threads or config.threads(),
        "paths": arguments.paths,
        "tokens a path": arguments.tokens,
        "seconds": {name: round(s, 2) for name, s in {"one path": one_path, **medians}.items()},
        "ratio to one": {name: round(value / one_path, 2) for name, value in medians.items()},
        "tokens written": {name: runs[0][1] for name, runs in measurements.items()},
    }
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print(
        f"{figures['threads']} threads, {arguments.paths} paths of up to {arguments.tokens} tokens"
    )
    print(f"  one path, on average {one_path:8.2f} s")
    for name in kinds:
        print(
            f"  {name:20} {medians[name]:8.2f} s {figures['ratio to one'][name]:6.2f} x"
            f" {figures['tokens written'][name]:6d} tokens"
        )


if __name__ == "__main__":
    main()
