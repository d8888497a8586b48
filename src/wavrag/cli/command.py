"""Commands as data, and their parser.

argparse cannot have both `wavrag eval TASK_DIR` and `wavrag eval compare`. Here a parser looks for
a subcommand in the first argument and leaves the options of that command to argparse.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from wavrag.cli.option_settings import read_option_settings
from wavrag.cli.options import Option
from wavrag.cli.output import safe_output
from wavrag.errors import WavRAGError, suggest_name
from wavrag.heap import limit_arenas

# argparse wraps options at the width of the terminal, but not a raw description: any terminal shows
# 80 columns.
HELP_WIDTH = 80


class UsageError(WavRAGError):
    """An argument is missing, unknown or contradicts another. The exit code is 2.

    Attributes:
        prog: the command called, such as `wavrag kb list`; empty if not known yet.
    """

    def __init__(self, message: str, prog: str = "") -> None:
        super().__init__(message)
        self.prog = prog


@dataclass(frozen=True)
class Command:
    """A command with its options and subcommands."""

    name: str  # the last word of the call
    summary: str  # its purpose in one line, in lower case and without a full stop
    # takes the parsed arguments and returns the exit code; None prints the help text
    run: Callable[[argparse.Namespace], int] | None = None
    # positional arguments and options, in the order of the help text
    options: tuple[Option, ...] = ()
    examples: tuple[str, ...] = ()  # complete command lines for the end of the help text
    details: str = ""  # further paragraph of the help text
    # further options by heading
    option_groups: Mapping[str, Sequence[Option]] = field(default_factory=dict)
    # commands below this one, by heading
    subcommands: Mapping[str, Sequence[Command]] = field(default_factory=dict)

    def all_options(self) -> list[Option]:
        """The options, with those of the groups."""
        return [
            *self.options,
            *(option for group in self.option_groups.values() for option in group),
        ]

    def subcommands_by_name(self) -> dict[str, Command]:
        """All subcommands, in the order of the help text."""
        return {
            command.name: command for section in self.subcommands.values() for command in section
        }


class CommandParser(argparse.ArgumentParser):
    """The parser of a command and its subcommands."""

    def __init__(self, command: Command, prog: str) -> None:
        super().__init__(
            prog=prog,
            usage=None if command.run else f"{prog} COMMAND ...",
            description=_description(command),
            epilog="\n  ".join(["examples:", *command.examples]) if command.examples else None,
            # Keeps the line breaks of the command list and of the examples.
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.command = command
        for option in command.options:
            option.add_to(self)
        for heading, options in command.option_groups.items():
            group = self.add_argument_group(heading)
            for option in options:
                option.add_to(group)
        self.set_defaults(run=command.run or self._run_help, prog=prog)

    def subparsers(self) -> list[CommandParser]:
        """The parsers of the subcommands, in the order of the help text."""
        return [
            CommandParser(command, f"{self.prog} {name}")
            for name, command in self.command.subcommands_by_name().items()
        ]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments of the command, or of a subcommand named by the first of them."""
        arguments = list(args or ())
        subcommands = self.command.subcommands_by_name()
        if subcommands:
            if not arguments:
                # A bare group asks for orientation; `eval` and `train` would miss arguments.
                return argparse.Namespace(run=self._run_help, prog=self.prog), []
            name = arguments[0]
            if name in subcommands:
                # Only the parser of this command is built; all of them would take 5 ms.
                subparser = CommandParser(subcommands[name], f"{self.prog} {name}")
                return subparser.parse_known_args(arguments[1:], namespace)
            self._check_subcommand(name, list(subcommands))
        self._check_options(arguments)
        values = read_option_settings(self.prog, self.command.all_options())
        for action in self._actions:
            if action.dest in values:
                # None marks an option that is not given: no value of an option is None.
                action.default, action.required = None, False
        namespace, extras = super().parse_known_args(arguments, namespace)
        if extras:
            self.error(f"unexpected arguments: {' '.join(extras)}")
        for name, value in values.items():
            if getattr(namespace, name) is None:
                setattr(namespace, name, value)
        return namespace, []

    def error(self, message: str) -> NoReturn:
        """Raise a `UsageError`; argparse would exit the process."""
        raise UsageError(message.removeprefix("argument "), self.prog)

    def _check_subcommand(self, name: str, candidates: list[str]) -> None:
        """Refuse a mistyped subcommand; `eval` takes the path of a task in the same position."""
        if name.startswith("-"):
            return
        # A path with a separator, such as ./compare, is never a subcommand.
        positionals = any(not action.option_strings for action in self._actions)
        path = Path(name).name != name or Path(name).exists()
        hint = suggest_name(name, candidates)
        if not positionals or (hint and not path):
            self.error(f"there is no command {name}{hint}")

    def _check_options(self, arguments: list[str]) -> None:
        """Refuse unknown options before argparse does.

        argparse reports missing arguments first: for `--otu FILE` it would only say that `--out` is
        required.
        """
        options = list(self._option_string_actions)
        for argument in arguments:
            name = argument.partition("=")[0]
            if argument == "--":
                return
            # argparse takes a word with a space for a positional argument, despite leading dashes.
            if not name.startswith("--") or " " in argument:
                continue
            if not any(option.startswith(name) for option in options):
                self.error(f"there is no option {name}{suggest_name(name, options)}")

    def _run_help(self, _: argparse.Namespace) -> int:
        self.print_help()
        return 0


def run_command(root: Command, argv: Sequence[str] | None = None) -> int:
    """Run a command by its arguments and report its errors.

    Exit code 0: done. 1: failed, interrupted, or some input was skipped. 2: wrong usage.
    """
    limit_arenas()
    with safe_output():
        return _run_command(root, sys.argv[1:] if argv is None else argv)


def _run_command(root: Command, argv: Sequence[str]) -> int:
    prog = root.name
    try:
        check_encoding(argv)
        arguments = CommandParser(root, root.name).parse_args(argv)
        prog = arguments.prog
        code: int = arguments.run(arguments)
        # A closed pipe must fail here, inside the try; at exit nothing could handle it.
        sys.stdout.flush()
        return code
    except UsageError as error:
        prog = error.prog or prog
        print(f"{prog}: {error}\nSee `{prog} --help`.", file=sys.stderr)
        return 2
    except WavRAGError as error:
        print(f"{root.name}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{root.name}: interrupted; what was stored stays stored", file=sys.stderr)
    except BrokenPipeError:
        # The reader has closed the pipe. Without this the interpreter flushes to it at exit and
        # prints a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def check_encoding(argv: Sequence[str]) -> None:
    """Refuse arguments that are not valid text, unless they name a file.

    Raises:
        UsageError: an argument is neither UTF-8 (or the encoding of the locale) nor a path.
    """
    for argument in argv:
        try:
            argument.encode()
        except UnicodeEncodeError:
            value = argument.partition("=")[2] if argument.startswith("--") else argument
            if not os.path.lexists(value):
                text = os.fsencode(argument).decode(errors="backslashreplace")
                raise UsageError(
                    f"the argument '{text}' is not valid {sys.getfilesystemencoding().upper()}:"
                    " convert it, for example with iconv, or change the encoding of the terminal"
                ) from None


def _description(root: Command) -> str:
    """The summary as a sentence, the details and the list of subcommands."""
    summary = f"{root.summary[0].upper()}{root.summary[1:]}."
    paragraphs = [textwrap.fill(text, HELP_WIDTH) for text in (summary, root.details) if text]
    width = max(map(len, root.subcommands_by_name()), default=0) + 2
    for heading, commands in root.subcommands.items():
        lines = [f"  {command.name:<{width}}{command.summary}" for command in commands]
        paragraphs.append("\n".join([f"{heading}:", *lines]))
    return "\n\n".join(paragraphs)
