"""One table, three doors: flags beat variables beat the file beat defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from api.cli import CONTEXT
from api.config import load_config
from api.flags import Command, Group, build_settings, option_flags, setting_flags
from pipeline.options import FORMATS, Options
from pipeline.settings import Settings

Call = tuple[Settings, dict[str, Any]]


class Program:
    """The real flags on a command that only keeps what it was told."""

    def __init__(self) -> None:
        self.call: Call | None = None

        @click.group(cls=Group, invoke_without_command=True, context_settings=CONTEXT)
        @setting_flags("global")
        @click.option(
            "--config",
            is_eager=True,
            callback=load_config,
            type=click.Path(path_type=Path),
        )
        def group(**_: Any) -> None: ...

        @group.command("start-service", cls=Command)
        @setting_flags("service", "output")
        @option_flags
        @click.pass_context
        def start(ctx: click.Context, **_: Any) -> None:
            self.call = build_settings(ctx)

        self.group = group

    def run(self, *args: str, **env: str) -> Result:
        return CliRunner().invoke(self.group, list(args), env=env)

    def settings(self, *args: str, **env: str) -> Settings:
        result = self.run(*args, **env)
        assert result.exit_code == 0, result.output
        assert self.call
        return self.call[0]


@pytest.fixture
def program() -> Program:
    return Program()


def test_the_originals_run_line_is_understood(program: Program) -> None:
    """Every word of the original's docker line works as written."""
    line = "--use_gpu start-service --port 8000 --model_size base --mounting_path / --language French"
    settings = program.settings(*line.split())
    assert (settings.use_gpu, settings.port, settings.mounting_path) == (True, 8000, "/")
    assert settings.options == Options(model="base", language="fr")


@pytest.mark.parametrize("word", ["French", "french", "FRENCH", "fr", "FR"])
def test_a_language_goes_by_name_or_code_in_any_case(program: Program, word: str) -> None:
    """The archivist writes French as it comes."""
    assert program.settings("start-service", "--language", word).options.language == "fr"


def test_flag_beats_variable_beats_file_beats_default(program: Program, tmp_path: Path) -> None:
    """The nearest word wins."""
    config = tmp_path / "c.toml"
    config.write_text('port = 1\nquiet-seconds = 2\noutput_format = ["srt", "txt"]\n')
    settings = program.settings(
        "--config", str(config), "start-service", "--port", "3", WHISPER_QUIET_SECONDS="4"
    )
    assert (settings.port, settings.quiet_seconds, settings.options.output_format) == (3, 4.0, ("txt", "srt"))
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("--word_timestamps", "True"), True),
        (("--word_timestamps=False",), False),
        (("--word-timestamps",), True),
        (("--no_word_timestamps",), False),
        (("--no_word_timestamps", "False"), True),
    ],
)
def test_booleans_also_take_true_and_false(program: Program, args: tuple[str, ...], expected: bool) -> None:
    """As whisper's own command line does."""
    assert program.settings("start-service", *args).options.word_timestamps is expected


def test_none_is_a_value_where_whisper_has_it(program: Program) -> None:
    """`--beam_size None` is greedy."""
    assert program.settings("start-service", "--beam_size", "None").options.beam_size is None


def test_the_original_variables_keep_their_names(program: Program, tmp_path: Path) -> None:
    """WORKDIR and WHISPER_CACHE, not WHISPER_WORKDIR."""
    settings = program.settings("start-service", WORKDIR=str(tmp_path), WHISPER_CACHE=str(tmp_path / "c"))
    assert (settings.workdir, settings.path2whisper_cache) == (tmp_path, tmp_path / "c")


def test_a_kubernetes_link_in_place_of_a_number_is_ignored(program: Program) -> None:
    """A service called whisper makes Kubernetes set WHISPER_PORT=tcp://…."""
    assert (
        program.settings("start-service", WHISPER_PORT="tcp://10.0.0.1:80", WHISPER_WHATEVER="1").port == 8000
    )


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("start-service", "--prot", "1"), "--port"),
        (("start-service", "--language", "Frnch"), "french"),
        (("start-service", "--model_size", "bse"), "base"),
        (("start-service", "--output_format", "stt"), "srt"),
        (("start-servce",), "start-service"),
    ],
)
def test_what_is_not_known_names_the_closest(program: Program, args: tuple[str, ...], hint: str) -> None:
    """Typing mistakes surface, with exit code 2."""
    result = program.run(*args)
    assert result.exit_code == 2
    assert hint in result.output


def test_an_unknown_key_of_the_file_names_the_closest(program: Program, tmp_path: Path) -> None:
    """A key that no command has is an error, not silence."""
    config = tmp_path / "c.toml"
    config.write_text("langage = 'fr'")
    result = program.run("--config", str(config), "start-service")
    assert result.exit_code == 2
    assert "language" in result.output


def test_named_are_only_the_options_of_the_command_line(program: Program) -> None:
    """Defaults and variables do not contradict what is done."""
    program.run("start-service", "--language", "fr", WHISPER_BEAM_SIZE="2")
    assert program.call
    assert program.call[1] == {"language": "fr"}
    assert program.call[0].options.beam_size == 2
    assert program.call[0].options.output_format == FORMATS


@pytest.mark.parametrize(
    "args",
    [
        ("--max_line_width", "40"),
        ("--highlight_words", "True"),
        ("--max_words_per_line", "5"),
        ("--hallucination_silence_threshold", "2"),
    ],
    ids=lambda args: args[0],
)
def test_options_that_need_words_imply_them_for_the_whole_service(
    program: Program, args: tuple[str, ...]
) -> None:
    """Nobody named word_timestamps; who says False to it is heard."""
    assert program.settings("start-service", *args).options.word_timestamps
    assert not program.settings("start-service", *args, "--word_timestamps", "False").options.word_timestamps
    assert not program.settings("start-service", *args, WHISPER_WORD_TIMESTAMPS="0").options.word_timestamps


def test_a_model_by_a_relative_path_is_found_from_wherever_its_stage_starts(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage is a process with another current directory."""
    monkeypatch.chdir(tmp_path)
    assert (
        program.settings("start-service", "--model_size", "./mine.pt").options.model == f"{tmp_path}/mine.pt"
    )
    assert program.settings("start-service", "--model_size", "tiny").options.model == "tiny"


@pytest.mark.parametrize(
    ("line", "key"),
    [("port = 2026-01-01", "port"), ("[workdir]\na = 1", "workdir"), ("language = [[1]]", "language")],
)
def test_a_value_of_the_file_that_no_flag_could_have_is_an_error_in_words(
    program: Program, tmp_path: Path, line: str, key: str
) -> None:
    """It names file and key."""
    config = tmp_path / "c.toml"
    config.write_text(line)
    result = program.run("--config", str(config), "start-service")
    assert result.exit_code == 2
    assert f"c.toml: {key} must be" in result.output


def test_the_file_has_numbers_truths_and_lists_as_they_come(program: Program, tmp_path: Path) -> None:
    """TOML's own types say the same as the command line's words."""
    config = tmp_path / "c.toml"
    config.write_text("use_gpu = 1\nwatch = false\ntemperature = 0\nsuppress_tokens = [1, 2]\nport = 9\n")
    settings = program.settings("--config", str(config), "start-service")
    assert (settings.use_gpu, settings.watch, settings.port) == (True, False, 9)
    assert (settings.options.temperature, settings.options.suppress_tokens) == (0.0, "1,2")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("start-service", "--use_gpu"), "--use_gpu belongs before the subcommand start-service"),
        (("--port", "1"), "--port belongs after a subcommand, as in: start-service --port"),
        (("--prot", "1"), "--port'"),
        (("start-service", "--port", "65536"), "--port must be at most 65535"),
        (("start-service", "--quiet_seconds", "-1"), "--quiet_seconds must be a number from 0 on"),
        (("start-service", "--idle_seconds", "nan"), "--idle_seconds must be a number from 0 on"),
        (("--workdir", "~nobody-of-that-name/x", "start-service"), "no such home directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_told_where_it_was_made(program: Program, args: tuple[str, ...], said: str) -> None:
    """Exit code 2, and what to do instead."""
    result = program.run(*args)
    assert result.exit_code == 2
    assert said in result.output


def test_whispers_short_flags_and_underscores_in_commands_are_taken(program: Program, tmp_path: Path) -> None:
    """-f and -o as whisper has them."""
    settings = program.settings("start_service", "-f", "srt", "-o", str(tmp_path))
    assert (settings.options.output_format, settings.output_dir) == (("srt",), tmp_path)


def test_fp16_is_a_variable_too(program: Program) -> None:
    """The alias, as every option."""
    assert program.settings("start-service", WHISPER_FP16="False").dtype == "float32"
