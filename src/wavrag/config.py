"""Defaults and settings: of environment variables, then of `wavrag.toml`.

A setting comes from the first of: the environment; `wavrag.toml` in the working directory, for the
settings that may come with a folder of somebody else; `wavrag.toml` in the user's configuration, or
the file that `WAVRAG_SETTINGS` names. Options of the command line precede them all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from wavrag.errors import InputError, WavRAGError, suggest_name

DEFAULT_EMBEDDER = "wavretriever"
DEFAULT_GENERATOR = "extractive"
SETTINGS_FILE = "wavrag.toml"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that applies to every command and to the library."""

    name: str  # key in `wavrag.toml`
    variable: str  # environment variable
    help: str
    default: str = ""  # description of the value without a setting
    separator: str = ""  # between the values of a list in the variable; empty for one value
    is_path: bool = False  # a relative path in a file starts at the file's folder
    # True if a file in the working directory may set it: such a file can come with an archive or a
    # repository, so it must not name servers, secrets or code.
    is_local: bool = False


SETTINGS = (
    Setting("kb", "WAVRAG_KB", "knowledge base", ".wavrag", is_path=True, is_local=True),
    Setting("threads", "WAVRAG_THREADS", "threads for models", "the processors", is_local=True),
    Setting("blobs", "WAVRAG_BLOBS", "files of a knowledge base in a database", is_path=True),
    Setting("trust_code", "WAVRAG_TRUST_CODE", "models whose own code may run", separator=","),
    Setting("piper", "WAVRAG_PIPER", "voice files of Piper", separator=os.pathsep, is_path=True),
    Setting("kokoro", "WAVRAG_KOKORO", "folder of the Kokoro model", is_path=True),
    Setting("speech_url", "WAVRAG_SPEECH_URL", "speech service with OpenAI's interface"),
    Setting("speech_model", "WAVRAG_SPEECH_MODEL", "model of the speech service", "tts-1"),
    Setting("speech_voice", "WAVRAG_SPEECH_VOICE", "voices of the service", separator=","),
)  # fmt: skip
_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class SettingValue:
    """A value as text, as in the environment, and its origin: a variable or a file."""

    text: str
    origin: str


def find_setting(name: str) -> SettingValue | None:
    """The value of a setting; None if it is not set. An empty variable counts as not set.

    Raises:
        InputError: a `wavrag.toml` is not valid.
    """
    setting = _BY_NAME[name]
    if text := os.environ.get(setting.variable):
        return SettingValue(text, setting.variable)
    for path, values in read_settings().items():
        if name in values:
            return SettingValue(_as_text(setting, values[name], path), str(path))
    return None


def setting_text(name: str) -> str:
    """The text of a setting; empty if it is not set."""
    value = find_setting(name)
    return value.text if value else ""


def user_settings_path() -> Path:
    """The user's settings: the file `WAVRAG_SETTINGS`, or `wavrag.toml` of the configuration."""
    path = os.environ.get("WAVRAG_SETTINGS")
    return Path(path) if path else config_directory() / SETTINGS_FILE


def read_settings() -> dict[Path, Mapping[str, Any]]:
    """The contents of the settings files that exist, the first one to apply first.

    Raises:
        InputError: a file cannot be read, or has an unknown setting.
    """
    local, user = Path(SETTINGS_FILE).absolute(), user_settings_path().absolute()
    if os.environ.get("WAVRAG_SETTINGS") and not user.exists():
        raise InputError(f"WAVRAG_SETTINGS names {user}, which does not exist")
    paths = [path for path in dict.fromkeys((local, user)) if path.is_file()]
    contents = {path: _read_file(path, path.stat().st_mtime_ns) for path in paths}
    if local in contents and local != user:
        permitted = {setting.name for setting in SETTINGS if setting.is_local}
        for key in contents[local].keys() - permitted:
            raise InputError(
                f"{local}: {key} is not read from a file in the working directory, because such a"
                f" file may come from somebody else: move it to {user}"
            )
    return contents


@lru_cache(maxsize=8)
def _read_file(path: Path, _: int) -> Mapping[str, Any]:
    import tomllib

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    for key, value in values.items():
        # A table holds the options of a command, which the command line knows.
        if key not in _BY_NAME and not isinstance(value, dict):
            hint = suggest_name(key, _BY_NAME) or f": use {', '.join(_BY_NAME)}"
            raise InputError(f"{path}: there is no setting {key}{hint}")
    return values


def _as_text(setting: Setting, value: Any, path: Path) -> str:
    values = value if isinstance(value, list) and setting.separator else [value]
    if not all(isinstance(item, str) or type(item) is int for item in values):
        kind = "a string or a list of strings" if setting.separator else "a string"
        raise InputError(f"{path}: {setting.name} is {value!r}: write {kind}")
    texts = [str(item) for item in values]
    if setting.is_path:
        # Not of a URL, whose double slash a path would lose.
        texts = [text if "://" in text else str(path.parent / text) for text in texts]
    return setting.separator.join(texts)


def kb_address() -> str:
    """The default knowledge base, a folder or a URL: the setting `kb`, or the folder `.wavrag`.

    Raises:
        InputError: a file in the working directory names a URL.
    """
    value = find_setting("kb")
    if value is None:
        return ".wavrag"
    if "://" in value.text and Path(value.origin) == Path(SETTINGS_FILE).absolute():
        raise InputError(
            f"{value.origin}: kb is a URL, which is not read from a file in the working directory,"
            f" because such a file may come from somebody else: move it to {user_settings_path()}"
        )
    return value.text


def redact_url(text: str) -> str:
    """Replace the passwords in the URLs of a text by `***`.

    Example:
        >>> redact_url("postgresql://ada:secret@host/team?password=secret")
        'postgresql://ada:***@host/team?password=***'
    """
    # Up to the last @, since a password may have / and @ that are not encoded; digits are a port.
    text = re.sub(r"(://[^/?#\s:@]*):(?!\d+[/?#])\S*@", r"\1:***@", text)
    return re.sub(r"([?&](?:ssl)?password=)[^&\s]*", r"\1***", text)


def config_directory() -> Path:
    """The folder of the user's configuration: `WAVRAG_CONFIG`, or `~/.config/wavrag`."""
    folder = os.environ.get("WAVRAG_CONFIG")
    if folder:
        return Path(folder)
    # The variable of the XDG Base Directory Specification.
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "wavrag"


def is_code_trusted(model: str) -> bool:
    """True if the setting `trust_code` lists a model, ORG/NAME or a folder: its code may run."""
    return model in setting_text("trust_code").split(",")


def threads() -> int:
    """The number of threads for models: the setting `threads`, or the processors of this process.

    Raises:
        WavRAGError: the setting is not a whole number above 0.

    Example:
        >>> os.environ["WAVRAG_THREADS"] = "2"
        >>> threads()
        2
    """
    value = find_setting("threads")
    if value is None:
        # Containers and job schedulers restrict a process to some processors; more threads than
        # those slow each other down. macOS and Windows have no such call.
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    text = value.text
    # isdecimal alone accepts digits of other scripts, such as Arabic ones.
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        origin = (
            value.origin if value.origin.startswith("WAVRAG_") else f"threads in {value.origin}"
        )
        raise WavRAGError(f"{origin} is {text!r}: set it to a whole number above 0")
    return int(text)
