"""Every sentence that people read goes through `tr` and is in the Spanish catalogue, with the same names in braces."""

import ast
import gettext
import io
import re
import string
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

import minilm
from minilm.i18n import LOCALE, language, ntr, tr

PACKAGE = Path(minilm.__file__).parent
PO = LOCALE / "es" / "LC_MESSAGES" / "minilm.po"
MO = PO.with_suffix(".mo")
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if not {"lessons", "data"} & set(path.parts))


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def spanish():
    with PO.open("rb") as file:
        return read_po(file, locale="es")


def extracted() -> set:
    found = extract_from_dir(PACKAGE, keywords={"tr": None, "ntr": (1, 2)})
    return {message for _, _, message, _, _ in found}


class TestCatalogue:
    def test_holds_every_sentence_and_no_other(self):
        held = {message.id for message in spanish() if message.id}
        assert extracted() - held == set(), "not in the catalogue: run `make messages` and translate"
        assert held - extracted() == set(), "no longer in the source: run `make messages`"

    def test_translates_every_sentence(self):
        for message in spanish():
            if message.id:
                texts = message.string if message.pluralizable else (message.string,)
                assert all(texts), f"no Spanish for {message.id!r}"
                assert not message.fuzzy, f"marked fuzzy: {message.id!r}"

    def test_keeps_the_names_in_braces(self):
        for message in spanish():
            ids = message.id if message.pluralizable else (message.id,)
            texts = message.string if message.pluralizable else (message.string,)
            for text in filter(None, texts):
                assert placeholders(text) == placeholders(ids[-1]), f"other names than in {ids[-1]!r}: {text!r}"

    def test_is_compiled(self):
        fresh = io.BytesIO()
        write_mo(fresh, spanish())
        fresh.seek(0)
        expected, got = gettext.GNUTranslations(fresh), gettext.GNUTranslations(io.BytesIO(MO.read_bytes()))
        assert vars(expected)["_catalog"] == vars(got)["_catalog"], (
            "the .mo is not the compiled .po: run `make messages`"
        )


class TestLanguage:
    @pytest.fixture(autouse=True)
    def no_language(self, monkeypatch):
        for name in ("MINILM_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ({}, "en"),
            ({"LANG": "es_MX.UTF-8"}, "es"),
            ({"LANG": "C.UTF-8"}, "en"),
            ({"LANG": "de_DE.UTF-8"}, "en"),
            ({"MINILM_LANG": "es", "LANG": "en_US.UTF-8"}, "es"),
            ({"MINILM_LANG": "es-MX"}, "es"),
            ({"MINILM_LANG": "en", "LANG": "es_ES"}, "en"),
            ({"LANGUAGE": "en:es", "LANG": "es_ES"}, "en"),
            ({"LANGUAGE": "fr:es:en"}, "es"),
            ({"LC_ALL": "", "LC_MESSAGES": "es_AR@euro", "LANG": "en_GB"}, "es"),
            ({"MINILM_LANG": "../../../etc"}, "en"),
        ],
    )
    def test_is_the_first_that_the_environment_names_and_we_have(self, environment, expected, monkeypatch):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert language() == expected

    def test_speaks_spanish(self, monkeypatch):
        monkeypatch.setenv("MINILM_LANG", "es")
        assert tr("stopped by Ctrl-C") == "detenido con Ctrl-C"
        assert "\N{INVERTED QUESTION MARK}" not in tr("an unknown sentence")

    def test_fills_in_names_and_numbers(self):
        assert tr("a {b} c", b=1) == "a 1 c"
        assert tr("a {brace}") == "a {brace}"
        assert ntr("{n} token in {name}", "{n} tokens in {name}", 1, name="x") == "1 token in x"
        assert ntr("{n} token in {name}", "{n} tokens in {name}", 2, name="x") == "2 tokens in x"


# The audit: sentences that people would read in English whatever their language.

PRINTERS = {"print", "echo", "secho", "add_column", "add_row", "rule", "add_task", "status", "ask", "confirm", "prompt"}
WORD = re.compile(r"\b(?![A-Z]+\b)[^\W\d_]{3,}")  # GPT is GPT in every language
NO_WORDS = re.compile(r"\[/?[a-z #0-9]*\]|\bminilm\b")  # markup of rich, the program's name


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def literals(node: ast.AST):
    """The string literals with words below a node that are not inside a call of tr or ntr or a subscript."""
    if isinstance(node, ast.Call) and name_of(node.func) in ("tr", "ntr"):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORD.search(NO_WORDS.sub("", node.value)):
        yield node.value
    if isinstance(node, ast.Call):
        yield from literals(node.func)
        children = node.args if name_of(node.func) in PRINTERS | {"Text", "Panel", "join", "format", "str"} else []
    elif isinstance(node, ast.Subscript):
        children = []
    elif isinstance(node, ast.FormattedValue):
        children = [node.value]
    elif isinstance(node, ast.IfExp):
        children = [node.body, node.orelse]
    elif isinstance(node, ast.Compare):
        children = []
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from literals(child)


def translated(call: ast.Call):
    """What is wrong with a call of tr or ntr."""
    plural = name_of(call.func) == "ntr"
    texts = call.args[: 2 if plural else 1]
    if not texts or not all(isinstance(text, ast.Constant) and isinstance(text.value, str) for text in texts):
        yield f"{name_of(call.func)} wants literal sentences"
        return
    given = {keyword.arg for keyword in call.keywords}
    named = {re.split(r"[.\[]", name)[0] for text in texts for name in placeholders(text.value)}
    if plural:
        named.discard("n")
    if None not in given and named != given:
        yield f"{texts[-1].value!r}: names in braces and arguments differ: {sorted(named ^ given)}"


def audit(source: str):
    """(line, what is wrong) for every sentence in a module that does not go through tr."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Raise)
            and isinstance(node.exc, ast.Call)
            and name_of(node.exc.func) != "AttributeError"
        ):
            for argument in node.exc.args:
                yield from ((node.lineno, f"raise without tr: {text!r}") for text in literals(argument))
        if not isinstance(node, ast.Call):
            continue
        if name_of(node.func) in ("tr", "ntr"):
            yield from ((node.lineno, problem) for problem in translated(node))
        if name_of(node.func) in PRINTERS:
            for argument in node.args:
                yield from ((node.lineno, f"shown without tr: {text!r}") for text in literals(argument))
        for keyword in node.keywords:
            if keyword.arg in ("help", "epilog", "short_help", "description", "title", "caption"):
                yield from ((node.lineno, f"{keyword.arg}= without tr: {text!r}") for text in literals(keyword.value))
        named = {keyword.arg for keyword in node.keywords}
        if isinstance(node.func, ast.Attribute) and node.func.attr == "command" and "help" not in named:
            yield node.lineno, "a command without help= shows its docstring, in English"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_sentence_goes_through_tr(path):
    assert list(audit(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "planted",
    [
        'raise ConfigError("heads must divide width")',
        'raise ConfigError(f"heads {h} must divide width")',
        'raise DataError("no text in {}".format(path))',
        'raise DataError("no text in " + path) from None',
        'raise ValueError("no text" if a else b)',
        'typer.Option(1, help="how many")',
        'typer.Option(1, help=f"how many {x}")',
        'console.print("[bold]Loss[/bold]", x)',
        'console.print(f"loss {x:.3f}")',
        'print("done")',
        'typer.echo("\\n".join(["all done", x]))',
        'table.add_column("tokens")',
        'app.command("fetch")(f)',
        'Table(title="Losses")',
        'tr(f"loss {x}")',
        "tr(message)",
        'tr("loss {x}", y=1)',
        'tr("loss {x}")',
        'tr("loss", x=1)',
        'tr("loss {x} {y}", y=1)',
        'ntr("{n} step", "{n} steps of {all}", 3)',
        'raise DataError(tr("in {path}", path=path) + " is no text")',
    ],
)
def test_the_audit_finds(planted):
    assert list(audit(planted))


@pytest.mark.parametrize(
    "fine",
    [
        'raise ConfigError(tr("heads {h} must divide width", h=h))',
        "raise KeyError(name)",
        'raise ConfigError(tr("two {kind}", kind=kinds["attention"])) from error',
        'console.print(tr("done"), style="bold red", end="")',
        'console.print("[bold]" + tr("done"))',
        'print(f"{name}: {x:.3f}")',
        'print("GPT", x)',
        'print(json.dumps({"loss": 1}, separators=(",", ":")))',
        'typer.Option(1, "--steps", help=tr("how many"))',
        'app.command("fetch", help=tr("get a text"))(f)',
        'tr("{a[0]} {b.shape}", a=a, b=b)',
        'ntr("{n} step", "{n} steps", len(x))',
        'ntr("one step", "{n} steps", len(x))',
        'print(tr("yes") if kind == "yes it is" else x["no it is"])',
    ],
)
def test_the_audit_lets_pass(fine):
    assert list(audit(fine)) == []
