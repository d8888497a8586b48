"""Options as data: each states its values, its default and its help in one place."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wavrag.config import DEFAULT_EMBEDDER, DEFAULT_GENERATOR


@dataclass(frozen=True)
class Option:
    """An option of a command, or a positional argument."""

    name: str  # such as `--kb`; a positional argument has no dashes
    # placeholder of the value in the help text; empty for a flag, and for `choices`
    metavar: str | tuple[str, ...] = ""
    help: str = ""  # purpose of the option. Its default and `may be repeated` are appended.
    default: Any = None  # value without the option. Its type is the type of the values.
    unset: str = ""  # description of the default in the help text, such as `all`
    minimum: float | None = None  # minimum of a number; a float admits fractions
    required: bool = False  # True if the command does not run without the option
    repeat: bool = False  # True to collect the values of several options in a list
    choices: tuple[str, ...] = ()  # all permitted values
    nargs: int | str | None = None  # number of values, as argparse takes it
    dest: str = ""  # attribute of the parsed arguments; the name by default
    action: type[argparse.Action] | None = None  # handler, for an option without a value

    def add_to(self, parser: argparse._ActionsContainer) -> None:
        """Declare the option on a parser or on a group of it."""
        settings: dict[str, Any] = {"help": self.full_help()}
        if self.action is not None:
            settings |= {"action": self.action, "nargs": 0}
        elif not self.metavar and not self.choices:
            settings["action"] = "store_true"
        else:
            settings |= {"type": self.value_type(), "default": self.default}
            if self.nargs is not None:
                settings["nargs"] = self.nargs
            if self.choices:
                settings["choices"] = self.choices
            if self.repeat:
                # argparse appends to a copy, so that calls do not share the list.
                settings |= {"action": "append", "default": []}
        # argparse refuses these for flags and positional arguments, even if they are None.
        optional = {"metavar": self.metavar, "required": self.required, "dest": self.dest}
        settings |= {name: value for name, value in optional.items() if value}
        parser.add_argument(self.name, **settings)

    def full_help(self) -> str:
        """The help with its default."""
        default = self.unset if self.default is None else f"{self.default}"
        note = "; may be repeated" if self.repeat else ""
        return f"{self.help}{note}" + (f" (default: {default})" if default else "")

    def value_type(self) -> Callable[[str], Any]:
        """The conversion of a value from text."""
        if self.minimum is None:
            return str if self.default is None else type(self.default)
        return _number_type(type(self.minimum), self.minimum)


def _number_type(kind: type, minimum: float) -> Callable[[str], Any]:
    noun = "a whole number" if kind is int else "a number"

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        # `not >=` instead of `<`: NaN fails every comparison, so it is refused too.
        if value is None or not value >= minimum:
            limit = "" if math.isinf(minimum) else f" of at least {minimum:g}"
            raise argparse.ArgumentTypeError(f"{text} is not {noun}{limit}")
        return value

    return parse


KB = Option("--kb", "KB", "knowledge base: a folder, postgresql://USER@HOST/DATABASE or"
    " s3://BUCKET/PREFIX", unset="$WAVRAG_KB, or .wavrag")  # fmt: skip
FUSION = Option("--fusion",
    help="merge the legs of the search by their scores or by reciprocal ranks",
    choices=("scores", "ranks"), default="scores")  # fmt: skip
RERANK = Option("--rerank", "NAME", "reorder the first 50 hits by a cross-encoder: st:ORG/NAME,"
    " st:FOLDER or onnx:FOLDER", unset="none")  # fmt: skip
TOKENS = Option("--tokens", "FILE", "file of the tokens of `wavrag token`",
    unset="tokens.json in $WAVRAG_CONFIG, or in ~/.config/wavrag")  # fmt: skip
MAX_RECORDING = Option("--max-recording", "HOURS", "maximum length of an uploaded recording",
    default=12, minimum=0.0)  # fmt: skip
JSON = Option("--json", help="print a single JSON document and nothing else")
JSON_FILE = Option("--json", "FILE",
    "write the figures to FILE as JSON; - prints a single document and nothing else")  # fmt: skip
SEED = Option("--seed", "N", "random seed", default=0)
KOKORO = Option("--kokoro", "DIR", "folder of the Kokoro model")
NEW_EMBEDDER = Option("--embedder", "NAME", "embedder of a new knowledge base",
    unset=DEFAULT_EMBEDDER)  # fmt: skip
PRESET_OPTIONS = (
    Option("--quality", help="choose the embedder of a new knowledge base by its quality: fast"
        " and balanced are packaged models, best needs models from the hub",
        choices=("fast", "balanced", "best")),
    Option("--language", "CODE", "language of the speech (ISO 639-1), to choose the embedder of"
        " a new knowledge base; languages other than en need models from the hub",
        unset="en"),
    Option("--models", "DIR", "folder with downloaded models for --quality and --language",
        unset="the hub"),
)  # fmt: skip
GENERATOR = Option("--generator", "SPEC", "model that writes the answer: extractive, local,"
    " local:FILE.gguf, openai:MODEL, openai:MODEL+audio, or qwen2-audio:FOLDER; the prefix"
    " map-reduce: asks about each passage alone and combines the answers",
    unset=DEFAULT_GENERATOR)  # fmt: skip
VOICE_HELP = "speech engine, such as flite"
BEST_ENGINE = "the best one installed"
