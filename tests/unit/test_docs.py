"""What the documents say is what the program does: flags, variables, defaults, routes, codes, pins, links."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from api.app import create_app
from api.cli import cli
from api.config import parameters
from pipeline import errors
from pipeline.relay.wording import ENGLISH
from pipeline.relay.wording import FRENCH as FRENCH_WORDS
from pipeline.tasks import FileState, TaskState

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FRENCH = (ROOT / "README.fr.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("samples/*.md")])
METHODS = "GET|POST|PUT|PATCH|DELETE"


def section(text: str, title: str) -> str:
    """Return the part of a document under a second-level heading."""
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def options() -> list[click.Option]:
    """Return every option of every command that --help shows."""
    return [param for param in parameters(cli) if isinstance(param, click.Option) and not param.hidden]


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row."""
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line[:2] == "| "
    ]


def pins(file: str) -> dict[str, str]:
    """Return the exact versions that a requirements file pins."""
    return dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / file).read_text(), re.MULTILINE))


OPTIONS = section(README, "Options")
FLAGS = {flag: param for param in options() for flag in [*param.opts, *param.secondary_opts]}


def test_every_flag_stands_in_the_readme() -> None:
    """A flag that --help shows is described, under its own name or that of its opposite."""
    missing = [
        param.opts[0] for param in options() if not any(re.search(rf"`{opt}\b", README) for opt in param.opts)
    ]
    assert missing == []


def test_every_flag_in_the_readme_exists() -> None:
    """The options section names no flag that the program does not take."""
    assert set(re.findall(r"--[a-z]\w+", OPTIONS)) - set(FLAGS) == set()


def test_the_readme_describes_every_command() -> None:
    """The table of subcommands, and start-service with its tables, are the program's commands."""
    cells = [row[0] for row in rows(OPTIONS.split("| subcommand |")[1])]
    told = {name for cell in cells for name in re.findall(r"`([a-z-]+)", cell)}
    assert told | {"start-service"} == set(cli.commands)


@pytest.mark.parametrize(
    "row", [row for row in rows(OPTIONS) if re.fullmatch(r"`--\w+[^`]*`", row[0])], ids=lambda row: row[0]
)
def test_variables_and_defaults_in_the_readme_are_the_programs(row: list[str]) -> None:
    """A row about one flag names its variable where that is not WHISPER_NAME, and its default."""
    flag = row[0].strip("`").split()[0]
    usual = f"WHISPER_{flag[2:].upper()}"
    variable, default = row[1:3] if len(row) == 4 else ("", row[1])
    if len(row) == 4:
        assert variable.strip("`") == (FLAGS[flag].envvar if FLAGS[flag].envvar != usual else "")
    if re.fullmatch(r"`[^`<]+`", default):
        assert Path(default.strip("`")) == Path(str(FLAGS[flag].default))


def test_the_readme_names_the_routes_that_are_served() -> None:
    """The table of routes is the OpenAPI page, and that page."""
    paths = create_app(None, root_path="/").openapi()["paths"]
    served = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    told = set(
        re.findall(rf"`((?:{METHODS}) /[^`?]*)`", "".join(row[0] for row in rows(section(README, "The API"))))
    )
    assert told == {re.sub(r":path}", "}", route) for route in served} | {"GET /docs"}


def test_the_french_readme_names_no_other_routes() -> None:
    """What the French page calls is what the English one describes."""
    french = set(re.findall(rf"((?:{METHODS}) /[\w/{{}}-]*)", FRENCH))
    assert french - set(re.findall(rf"((?:{METHODS}) /[\w/{{}}-]*)", README)) == set()


def test_both_readmes_give_the_same_docker_lines() -> None:
    """The build and run lines are the original's, in both languages."""
    lines = re.findall(r"^docker (?:build|run) .*$", README, re.MULTILINE)
    assert len(lines) == 2
    assert lines == re.findall(r"^docker (?:build|run) .*$", FRENCH, re.MULTILINE)


def test_operations_explains_every_status() -> None:
    """Each file state has a row, each task state a word."""
    told = set(re.findall(r"`(\w+)`", "".join(row[0] for row in rows(section(OPERATIONS, "States")))))
    assert told == set(FileState)
    assert [state for state in TaskState if f"`{state}`" not in section(OPERATIONS, "States")] == []


def test_operations_explains_every_error_code() -> None:
    """A code that a file can end with, in whatever language its status report explains it, has a row."""
    told = {row[0].strip("`") for row in rows(section(OPERATIONS, "Error codes"))}
    known = {each.code for each in [errors.MediaError, *errors.MediaError.__subclasses__()]}
    assert (known | set(ENGLISH.reasons) | set(FRENCH_WORDS.reasons)) - told == set()


def test_operations_explains_every_warning() -> None:
    """A warning that decoding or the text itself gives reason for has a row, and no other."""
    sources = (ROOT / "pipeline/stage").rglob("*.py")
    given = {code for source in sources for code in re.findall(r'f?"([a-z_]+): [a-z{]', source.read_text())}
    told = {row[0].strip("`") for row in rows(section(OPERATIONS, "Warnings")) if row[0].startswith("`")}
    assert told == given


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """A relative link names a file that is there."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_in_the_documents_exist(document: Path) -> None:
    """Every `make x` that a document tells people to run is in the Makefile."""
    told = set(re.findall(r"(?:^|`)make (\w+)", document.read_text(encoding="utf-8"), re.MULTILINE))
    assert told - set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) == set()


def test_requirements_pin_the_direct_dependencies() -> None:
    """`pip install -r requirements.txt` installs what pyproject.toml asks for, no more."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(pins("requirements.txt")) == {re.match(r"[\w-]+", each)[0] for each in project["dependencies"]}


def test_constraints_agree_with_requirements() -> None:
    """Development and production run the same versions."""
    assert pins("requirements.txt").items() <= pins("constraints.txt").items()
