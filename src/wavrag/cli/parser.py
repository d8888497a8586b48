"""Commands and their options. Knows no model: what a command needs is imported when it runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

from wavrag.cli.answers import add_arguments as answers_arguments
from wavrag.cli.output import GENERATOR_HELP
from wavrag.cli.serve import add_arguments as serve_arguments
from wavrag.cli.tasks import add_arguments as tasks_arguments

DESCRIPTION = (
    "Ask with your voice, over recordings and documents. Answers cite the sentence, or the second"
    " of the recording, that they rest on."
)
GROUPED = {"eval": ("compare", "report")}
"""Commands whose first word is one of its own; `eval ./compare` is the task of that name."""
EPILOG = "Start with `wavrag demo`, or `wavrag index FOLDER` and `wavrag ask 'a question'`."
WHERE_HELP = "only passages that pass, e.g. \"year >= 2020 and speaker = 'Ada'\""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; `run` of its result is the command."""
    parser = argparse.ArgumentParser(prog="wavrag", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"wavrag {version('wavrag')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _index(commands)
    _search(commands)
    _ask(commands)
    _kb(commands)
    serve_arguments(
        _command(commands, "serve", "serve it over HTTP, with a web page", "serve:serve")
    )
    _eval(commands)
    answers_arguments(
        _command(
            commands, "answers", "measure answers to questions with known answers",
            "answers:answers",
        )
    )  # fmt: skip
    tasks_arguments(
        _command(commands, "tasks", "make a retrieval task of a published data set", "tasks:tasks")
    )
    _train(commands)
    _synth(commands)
    _mine(commands)
    _demo(commands)
    _doctor(commands)
    return parser


def grouped(argv: Sequence[str]) -> list[str]:
    """Arguments with the words of a command of two as one."""
    if len(argv) > 1 and argv[1] in GROUPED.get(argv[0], ()):
        return [f"{argv[0]} {argv[1]}", *argv[2:]]
    return list(argv)


def _command(commands: Any, name: str, summary: str, runs: str) -> argparse.ArgumentParser:
    """Add a command that runs `module:function` of this package."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )

    def run(arguments: argparse.Namespace) -> int:
        module, function = runs.split(":")
        code: int = getattr(import_module(f"wavrag.cli.{module}"), function)(arguments)
        return code

    parser.set_defaults(run=run)
    return parser


def _shared(parser: argparse.ArgumentParser, kb: bool = True) -> None:
    if kb:
        parser.add_argument(
            "--kb", metavar="DIR", help="knowledge base (default: $WAVRAG_KB, or .wavrag)"
        )
    parser.add_argument("--json", action="store_true", help="print one JSON document, no more")


def _index(commands: Any) -> None:
    parser = _command(
        commands, "index", "add files and folders to the knowledge base", "index:index"
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file or folder")
    parser.add_argument(
        "--glob", action="append", default=[], metavar="PATTERN", help="only files that match"
    )
    parser.add_argument(
        "--meta",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="metadata for every file, to be tested by --where",
    )
    parser.add_argument(
        "--prune", action="store_true", help="remove what is gone from the folders named"
    )
    parser.add_argument(
        "--embedder", metavar="NAME", help="for a new knowledge base (default: cascade)"
    )
    _shared(parser)


def _question(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="*", metavar="TEXT", help="the question in words")
    parser.add_argument("--audio", metavar="FILE", help="the question as a recording; - for stdin")
    parser.add_argument("--where", metavar="EXPR", help=WHERE_HELP)


def _search(commands: Any) -> None:
    parser = _command(
        commands, "search", "find passages for a question in words or sound", "ask:search"
    )
    _question(parser)
    parser.add_argument("-k", type=int, default=5, metavar="N", help="most hits (default: 5)")
    _shared(parser)


def _ask(commands: Any) -> None:
    parser = _command(
        commands, "ask", "answer a question in words or sound, with citations", "ask:ask"
    )
    _question(parser)
    parser.add_argument(
        "--generator",
        metavar="SPEC",
        help=GENERATOR_HELP,
    )
    parser.add_argument(
        "--think", action="store_true", help="let the model reason before it answers"
    )
    parser.add_argument(
        "--paths",
        type=int,
        metavar="N",
        help="sample N answers, or with --think N paths of reasoning, and let the model choose the"
        " most consistent",
    )
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="of the sampling (default: 0.7 for several paths, otherwise 0)",
    )
    parser.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="wait no longer for paths (default: for all)",
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help="paths that are written at a time (default: all that can be)",
    )
    parser.add_argument(
        "--prices",
        type=float,
        nargs=2,
        metavar=("IN", "OUT"),
        help="of a million tokens that are read and written, for the cost in --json",
    )
    parser.add_argument(
        "--history",
        metavar="FILE.jsonl",
        help="conversation to go on with: its turns are read, and this one is added",
    )
    parser.add_argument("--speak", metavar="OUT.wav", help="say the answer, too, into a WAV file")
    parser.add_argument(
        "--voice", metavar="ENGINE[:VOICE]", help="what speaks (default: the best that is here)"
    )
    parser.add_argument(
        "--follow",
        choices=["question", "source"],
        help="speak with the pitch, pace and loudness of the question, or of the recording cited",
    )
    _shared(parser)


def _kb(commands: Any) -> None:
    parser = commands.add_parser("kb", help="look at and look after a knowledge base")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _shared(_command(actions, "info", "what it holds and which embedder made it", "kb:info"))
    _shared(_command(actions, "list", "its documents", "kb:list_documents"))
    remove = _command(actions, "remove", "remove documents", "kb:remove")
    remove.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="path or id of a document, or a folder"
    )
    _shared(remove)
    _shared(_command(actions, "verify", "read everything back and report defects", "kb:verify"))
    export = _command(actions, "export", "write all passages as JSON lines", "kb:export")
    export.add_argument("--out", metavar="FILE.jsonl", help="file (default: standard output)")
    export.add_argument("--vectors", metavar="FILE.npy", help="write the vectors too, row by row")
    export.add_argument("--kb", metavar="DIR", help="knowledge base")


def _eval(commands: Any) -> None:
    parser = _command(
        commands, "eval", "measure retrieval on a task in the BEIR layout", "evaluate:evaluate"
    )
    parser.add_argument(
        "task",
        nargs="+",
        metavar="TASK_DIR",
        help="folder with corpus.jsonl, queries.jsonl and qrels/test.tsv",
    )
    parser.add_argument(
        "--embedder",
        action="append",
        required=True,
        metavar="NAME",
        help="embedder to measure; may be repeated",
    )
    parser.add_argument(
        "--legs",
        action="append",
        choices=["dense", "lexical", "fused"],
        help="one leg alone or both fused; may be repeated (default: all three)",
    )
    for side, noun in (("query", "queries"), ("corpus", "entries")):
        parser.add_argument(
            f"--{side}-modality",
            choices=["audio", "text"],
            help=f"use only this part of {noun} (default: all that they have)",
        )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the figures as one JSON document; - prints it, and nothing else",
    )
    parser.add_argument(
        "--cpu-price",
        type=float,
        metavar="PRICE",
        help="of an hour of one processor, for the cost of an hour of sound",
    )
    compare = _command(
        commands, "eval compare", "compare two files of figures, query by query",
        "evaluate:compare",
    )  # fmt: skip
    compare.add_argument(
        "results",
        nargs="+",
        metavar="RESULTS.json",
        help="two files of `wavrag eval --json`, or one with several embedders",
    )
    compare.add_argument(
        "--metric", default="ndcg@10", metavar="NAME", help="what queries changed by (ndcg@10)"
    )
    compare.add_argument(
        "--changed", type=int, default=10, metavar="N", help="most queries to name (10)"
    )
    compare.add_argument(
        "--json",
        metavar="FILE",
        help="write the comparison as one JSON document; - prints it, and nothing else",
    )
    report = _command(
        commands, "eval report", "write a page of results, with failures to listen to",
        "evaluate:report",
    )  # fmt: skip
    report.add_argument(
        "results",
        nargs="+",
        metavar="RESULTS.json",
        help="files of `wavrag eval --json`, `wavrag answers --json`, or results.json of"
        " experiments",
    )
    report.add_argument("--out", required=True, metavar="FILE.html", help="page to write")
    report.add_argument(
        "--worst", type=int, default=20, metavar="N", help="failures of each system (20)"
    )
    report.add_argument(
        "--audio-mb",
        type=float,
        default=20.0,
        metavar="MB",
        help="most sound in the page; what does not fit is named (20)",
    )


def _train(commands: Any) -> None:
    parser = _command(commands, "train", "train a retriever that hears", "train:recipe")
    parser.add_argument(
        "--recipe", metavar="NAME", help="paper-qwen2-audio, tiny, or a .toml file of your own"
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the run; one cut off goes on")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change the recipe, such as loss.temperature=0.02; may be repeated",
    )
    parser.add_argument("--push", metavar="ORG/NAME", help="upload the trained model to a hub")
    _shared(parser, kb=False)
    recipes = parser.add_subparsers(title="in stages", metavar="mini", required=False)
    mini = _command(
        recipes, "mini", "train WavRetriever-mini, stage by stage, from where it stopped",
        "train:mini",
    )  # fmt: skip
    mini.add_argument("--data", required=True, metavar="DIR", help="data folder")
    mini.add_argument(
        "--work", required=True, metavar="DIR", help="folder for all that is made, gigabytes"
    )
    mini.add_argument(
        "--engine",
        action="append",
        metavar="NAME:CLIPS",
        help="texts that synthetic voices speak: flite, espeak, festival, kokoro; may be repeated"
        " (default: flite:6000 and espeak:3000)",
    )
    mini.add_argument("--kokoro", metavar="DIR", help="folder of the Kokoro model")
    mini.add_argument(
        "--epochs", type=int, default=10, metavar="N", help="passes over the speech (10)"
    )
    mini.add_argument(
        "--minutes", type=float, metavar="M", help="end the learning of letters after so long"
    )
    mini.add_argument("--start", metavar="FILE", help="heads.npz of an earlier run to go on from")
    mini.add_argument(
        "--task",
        action="append",
        metavar="DIR",
        help="retrieval task to measure the model on at the end; may be repeated",
    )
    mini.add_argument("--seed", type=int, default=0, metavar="N", help="of every draw (0)")


def _synth(commands: Any) -> None:
    parser = _command(
        commands, "synth", "speak the texts of training records by synthetic voices", "synth:synth"
    )
    parser.add_argument(
        "records", metavar="RECORDS", help="records, .jsonl; or questions, .txt, one a line"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of records and clips")
    parser.add_argument(
        "--part",
        choices=["query", "positives", "all"],
        default="query",
        help="entries that are spoken (default: query)",
    )
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        help="flite (default), espeak, festival, kokoro, piper or openai; if repeated, one is drawn"
        " for each text",
    )
    parser.add_argument(
        "--voice",
        action="append",
        default=[],
        metavar="NAME",
        help="voice to draw from; may be repeated (default: all of the engine's)",
    )
    parser.add_argument("--kokoro", metavar="DIR", help="folder of the Kokoro model")
    parser.add_argument(
        "--piper",
        action="append",
        default=[],
        metavar="MODEL.onnx",
        help="voice file for the engine piper; may be repeated",
    )
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="address of the engine openai (default: $OPENAI_BASE_URL, or OpenAI's own)",
    )
    parser.add_argument("--model", metavar="NAME", help="model of the engine openai")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of every draw (0)")
    parser.add_argument("--threads", type=int, metavar="N", help="texts spoken at a time")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N records")
    _shared(parser, kb=False)


def _mine(commands: Any) -> None:
    parser = _command(commands, "mine", "find hard negatives for training records", "mine:mine")
    parser.add_argument("records", metavar="RECORDS.jsonl", help="file of records")
    parser.add_argument("--out", required=True, metavar="FILE.jsonl", help="records to write")
    parser.add_argument(
        "--corpus", metavar="FILE.jsonl", help="further entries to find, one a line"
    )
    parser.add_argument("--embedder", metavar="NAME", help="what scores (default: cascade)")
    parser.add_argument(
        "--negatives", type=int, default=7, metavar="N", help="most for each record (7)"
    )
    parser.add_argument(
        "--range-min", type=int, default=0, metavar="RANK", help="leave out so many of the best (0)"
    )
    parser.add_argument(
        "--range-max",
        type=int,
        metavar="RANK",
        help="look no further down (default: to the end; for random sampling 10 a negative)",
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="share of the positive's score that a negative stays below it (0.05)",
    )
    parser.add_argument(
        "--absolute-margin", type=float, metavar="SCORE", help="the same as a difference of scores"
    )
    parser.add_argument("--max-score", type=float, metavar="SCORE", help="highest of a negative")
    parser.add_argument(
        "--sampling",
        choices=["top", "random"],
        default="top",
        help="the best that remain, or a draw of them (default: top)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw (0)")
    _shared(parser, kb=False)


def _demo(commands: Any) -> None:
    parser = _command(
        commands, "demo", "index the packaged corpus and answer a spoken question", "demo:demo"
    )
    parser.add_argument(
        "--kb",
        metavar="DIR",
        default=".wavrag-demo",
        help="knowledge base to make (default: .wavrag-demo)",
    )
    _shared(parser, kb=False)


def _doctor(commands: Any) -> None:
    parser = _command(
        commands,
        "doctor",
        "say what is installed, what is missing, what brings it",
        "doctor:doctor",
    )
    _shared(parser, kb=False)
