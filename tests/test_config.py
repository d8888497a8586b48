"""Settings: the environment, `wavrag.toml`, and their precedence."""

import json
from pathlib import Path

import pytest

from wavrag import config
from wavrag.cli import build_parser, main
from wavrag.errors import InputError


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's settings file, not yet there; the working directory is another one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for setting in config.SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv("WAVRAG_CONFIG", str(tmp_path / "user"))
    (tmp_path / "user").mkdir()
    return tmp_path / "user" / "wavrag.toml"


def test_the_environment_precedes_the_working_directory_and_that_the_user(
    user_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.kb_address() == ".wavrag"
    user_file.write_text('kb = "mine"\nthreads = 3\n')
    assert config.kb_address() == str(user_file.parent / "mine")
    assert config.threads() == 3
    Path("wavrag.toml").write_text('kb = "here"\n')
    assert config.kb_address() == str(Path("here").absolute())
    assert config.threads() == 3
    monkeypatch.setenv("WAVRAG_KB", "elsewhere")
    assert config.kb_address() == "elsewhere"
    monkeypatch.setenv("WAVRAG_KB", "")
    assert config.kb_address() == str(Path("here").absolute())


def test_a_url_is_not_a_path_of_the_file(user_file: Path) -> None:
    user_file.write_text('kb = "postgresql://host/base"\n')
    assert config.setting_text("kb") == "postgresql://host/base"


def test_a_file_in_the_working_directory_names_no_server_and_no_code(user_file: Path) -> None:
    for line in ('speech_url = "http://x"', 'trust_code = "a/b"', '[serve]\nhost = "0.0.0.0"'):
        Path("wavrag.toml").write_text(line)
        with pytest.raises(InputError, match="may come from somebody else: move it to"):
            config.threads()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thread = 2", "there is no setting thread: did you mean threads?"),
        ("zzz = 2", "there is no setting zzz: use kb, threads"),
        ("kb = [", "cannot be read: "),
        ("kb = 1.5", "kb is 1.5: write a string"),
        ("threads = 0", "threads in .*wavrag.toml is '0': set it to a whole number above 0"),
    ],
)
def test_a_wrong_file_is_named(user_file: Path, text: str, message: str) -> None:
    user_file.write_text(text)
    with pytest.raises(Exception, match=message) as caught:
        config.kb_address(), config.threads()
    assert str(user_file) in str(caught.value)


def test_a_missing_file_that_is_named_is_an_error(
    user_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAVRAG_SETTINGS", "missing.toml")
    with pytest.raises(InputError, match=r"missing\.toml, which does not exist"):
        config.threads()


def test_options_of_commands_come_from_tables_and_variables(
    user_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_file.write_text(
        '[serve]\nport = 9000\ncreate = true\nallow-host = "a"\nwatch = ["talks", "my notes"]\n'
        '[kb.list]\nkb = "listed"\n'.replace("allow-host", "allow_host")
    )
    arguments = build_parser().parse_args(["serve"])
    assert (arguments.port, arguments.create, arguments.voice) == (9000, True, None)
    assert (arguments.watch, arguments.allow_host) == (["talks", "my notes"], ["a"])
    assert build_parser().parse_args(["kb", "list"]).kb == "listed"
    assert build_parser().parse_args(["kb", "info"]).kb is None
    monkeypatch.setenv("WAVRAG_SERVE_PORT", "9001")
    monkeypatch.setenv("WAVRAG_SERVE_CREATE", "false")
    assert build_parser().parse_args(["serve"]).port == 9001
    assert not build_parser().parse_args(["serve"]).create
    assert build_parser().parse_args(["serve", "--port", "8321", "--watch", "x"]).port == 8321
    assert build_parser().parse_args(["serve", "--watch", "x"]).watch == ["x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[serve]\nprot = 1", "wavrag serve has no option prot: did you mean port?"),
        ('[serve]\nport = "x"', "x is not a whole number of at least 0"),
        ("[serve]\nport = [1, 2]", "is not a single value"),
        ('[serve]\ncreate = "perhaps"', "'perhaps' is neither true nor false"),
        ('[search]\nfusion = "sums"', "'sums' is none of scores, ranks"),
    ],
)
def test_a_wrong_option_is_named(
    user_file: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    user_file.write_text(text)
    command = text[1 : text.index("]")]
    assert main([command, "x"] if command == "search" else [command]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert str(user_file) in error


def test_the_command_prints_values_and_origins(
    user_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user_file.write_text("threads = 2\n[serve]\nport = 9000\n")
    monkeypatch.setenv("WAVRAG_KB", "there")
    assert main(["config", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    values = {row["name"]: (row["value"], row["origin"]) for row in printed["settings"]}
    assert values["kb"] == ("there", "WAVRAG_KB")
    assert values["threads"] == ("2", str(user_file))
    assert values["piper"] == (None, None)
    assert [(row["command"], row["value"]) for row in printed["options"]] == [
        ("wavrag serve", "9000")
    ]
    assert printed["files"] == [str(user_file)]
    assert main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kb", "there", "WAVRAG_KB"]
    assert lines[-1].split()[:4] == ["wavrag", "serve", "--port", "9000"]


def test_the_page_has_every_setting() -> None:
    page = (Path(__file__).parent.parent / "docs" / "settings.md").read_text(encoding="utf-8")
    for setting in config.SETTINGS:
        assert f"| `{setting.name}` | `{setting.variable}` |" in page


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("postgresql://ada:se/c@ret@host/db", "postgresql://ada:***@host/db"),
        ("postgresql:///db?user=ada&password=secret", "postgresql:///db?user=ada&password=***"),
        ("https://host:8080/@ada", "https://host:8080/@ada"),
    ],
)
def test_passwords_in_urls_are_redacted(url: str, redacted: str) -> None:
    assert config.redact_url(f"at {url}") == f"at {redacted}"
