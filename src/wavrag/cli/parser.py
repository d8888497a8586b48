"""Commands and their options. Knows no model: what a command needs is imported when it runs."""

from __future__ import annotations

import argparse
from importlib import import_module
from importlib.metadata import version
from typing import Any

DESCRIPTION = (
    "Ask with your voice, over recordings and documents. Answers cite the sentence, or the second"
    " of the recording, that they rest on."
)
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
    _eval(commands)
    _train(commands)
    _demo(commands)
    _doctor(commands)
    return parser


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
        help="extractive (default), local, local:FILE.gguf or openai:MODEL",
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


def _train(commands: Any) -> None:
    parser = commands.add_parser("train", help="train a retriever that hears")
    recipes = parser.add_subparsers(title="recipes", metavar="RECIPE", required=True)
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
