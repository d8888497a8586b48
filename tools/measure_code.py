"""Measure the quality of Python code: size, names, prose, imports and options.

    python tools/measure_code.py                      # src/wavrag
    python tools/measure_code.py src/wavrag ../httpx  # a column for each tree
    python tools/measure_code.py --list names         # offenders of one figure, with file and line
    python tools/measure_code.py --check              # exit code 1 if a bar is missed

Needs only the standard library. Names and prose are classified by word lists and spelling, without
a parser of English, so a single verdict can be wrong; the rates are comparable between trees.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import sys
import tokenize
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

DEFAULT_PATH = Path(__file__).resolve().parent.parent / "src" / "wavrag"
LONG_FUNCTION_LINES = 60
OPTION_FOLDERS = ("src", "experiments", "benchmarks", "tools")
# Packages that other rooms may import from although they lie inside a room.
NESTED_FACES = frozenset({
    "wavrag.integrations.mcp", "wavrag.train.contrastive", "wavrag.train.mini"
})  # fmt: skip

PARTICIPLES = frozenset(
    """
    become been begun bent bitten blown born borne bought broken brought built caught chosen come
    dealt done drawn driven eaten fallen fed felt flown forgotten fought found frozen given gone
    gotten grown heard held hung kept known laid learnt led lent lost made meant met paid proven
    risen said seen sent shown sold sought spelt spent spoken spread stolen stood struck sung sunk
    sworn taken taught thought thrown told torn understood woken won worn woven written
    """.split()
)
PAST_TENSES = frozenset(
    "became began came chose did drew fell gave got grew knew ran saw spoke took went wrote".split()
)
# Words in -ed and -ing that are nouns, verbs or adjectives in their own right, most of them terms
# of machine learning, text and audio.
PROPER_WORDS = frozenset(
    """
    bed bleed breed creed deed embed exceed feed greed hundred indeed naked need proceed red reed
    sacred seed shed shred signed sled speed succeed unsigned weed wicked
    batching beginning being binding bring building caching casting ceiling chunking clipping
    clustering coding crossing decoding ding drawing during embedding encoding ending engineering
    evening everything finding fling formatting framing geocoding grading greeting grouping hashing
    heading indexing king learning listing living loading logging lowercasing masking matching
    meaning missing morning mapping nothing offering opening ordering padding parsing pending ping
    polling pooling posting pricing processing profiling pruning ranking rating reasoning recording
    remaining rendering reranking ring routing sampling saving scheduling scoring seeding setting
    shilling sibling sing sling smoothing something sorting spacing spelling splitting spring sting
    streaming string styling swing tagging testing thing thinking threading throttling timing
    tokenizing tracing training truncating tuning typing warning weighting windowing wing working
    wording writing
    """.split()
)
# Participles that libraries commonly use as names of results, counts and states.
CONVENTIONAL_PARTICIPLES = frozenset(
    """
    accepted accumulated activated added aligned allowed appended assigned batched cached cancelled
    changed cleaned clipped closed collected combined completed computed condensed connected
    converted counted created decoded deleted detected disabled distributed elapsed embedded enabled
    encoded excluded existing expected extended failed filtered finished fixed flattened following
    formatted fused gathered grouped hidden ignored improved indexed joined leading loaded locked
    masked matched merged mixed nested normalised normalized opened packed padded paired parsed
    pooled prepared prepended preprocessed pretrained protected quantized queued quoted received
    redacted removed required reranked resampled reserved resolved retrieved rounded sampled saved
    scaled scored seen selected shared shifted shuffled skipped smoothed sorted stacked started
    stopped stored strided supported tokenized trained transformed trimmed truncated unchanged
    updated uploaded weighted wrapped
    """.split()
)
# "mine" is missing because to mine is the term for the search of hard negatives.
PRONOUNS = frozenset(
    """
    ahead alike alone another any anyone anything apart each either else enough every everyone
    everything few fewer he her here his it its itself least less many more most much neither none
    nothing one ones other others ours own rest same several she so_far some someone something such
    that their theirs them there these they this those together we what whatever which whichever who
    whoever whole whom whose
    """.split()
)
VAGUE_NOUNS = frozenset(
    "part parts piece pieces place places room rooms side sides thing things".split()
)
PREDICATE_STARTS = frozenset(
    "are be can did do does had has have is may must needs should was were will".split()
)
# A participle after one of these ends a predicate or names a callback: `raise_if_closed`.
PREDICATE_LINKS = PREDICATE_STARTS | {"as", "if", "not", "on", "when"}

DETERMINERS_AND_PRONOUNS = frozenset(
    """
    a an all any both code each every he her his i it its many most no nobody none one only other
    our she some such that the their there these they this those two we you your
    """.split()
)
FUNCTION_VERBS = frozenset(
    """
    am are be can cannot can't could did didn't do does doesn't don't had has have is isn't may
    might must never not now shall should was wasn't were will won't would also already always
    often
    """.split()
)
PREPOSITIONS_AND_CONJUNCTIONS = frozenset(
    """
    about above after although and as at because before below between beyond but by except for from
    if in into less like more not of on onto or over per so such than that then though through to
    under unless until up upon when whether while with within without
    """.split()
)
# After these, "that" introduces what is said or known, and "which", "where" and "what" introduce an
# indirect question, so that none of them is a relative pronoun.
VERBS_OF_SAYING = frozenset(
    word + ending
    for word in """
    agree ask assert assume believe check choose claim confirm decide describe determine ensure
    exactly expect explain guarantee hear imply indicate know learn mean notice note prove report
    require remember say see show specify state suggest suppose sure tell think verify
    """.split()
    for ending in ("", "s", "d", "ed", "ing")
) | frozenset(
    """
    deciding describing determining ensuring specifies verifies implies verified told known said
    seen shown meant found find finds fact given provided are be being is was were
    """.split()
)

PRAGMA = re.compile(r"#\s*(type:|noqa|fmt:|ruff:|isort:|mypy:|pylint:|pyright:|pragma:)|#!", re.I)
IDENTIFIER_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
CODE_SPAN = re.compile(r"``[^`]*``|`[^`]*`")
TOKEN = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?|[.,;:!?()\n]")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Offender:
    """A line of code or prose with a fault.

    Attributes:
        path: file with the line.
        line: line number from 1.
        text: name or phrase, for the reader of the list.
        kind: category of the fault; "" for a figure with one category.
    """

    path: Path
    line: int
    text: str
    kind: str = ""

    def __str__(self) -> str:
        kind = f" ({self.kind})" if self.kind else ""
        return f"{self.path}:{self.line}: {self.text}{kind}"


@dataclass(frozen=True)
class Measurement:
    """A value of a figure and the lines behind it."""

    value: float
    offenders: tuple[Offender, ...] = ()


@dataclass(frozen=True)
class Module:
    """A parsed file of a package.

    Attributes:
        name: dotted name, with the name of the package first.
        path: file.
        text: source code.
        tree: its syntax tree.
    """

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def subpackage(self) -> str:
        """Top folder below the package; "" for a module beside the folders."""
        _package, *folders = self.name.split(".")
        if self.path.name != "__init__.py":
            folders.pop()
        return folders[0] if folders else ""

    @property
    def line_count(self) -> int:
        """Number of physical lines."""
        return len(self.text.splitlines())

    @cached_property
    def imports(self) -> tuple[ImportItem, ...]:
        """Every imported name, those inside functions included."""
        return tuple(find_imports(self))


@dataclass(frozen=True)
class ImportItem:
    """One name of an import statement.

    Attributes:
        source: absolute dotted name after `from` or `import`.
        name: name imported from it; "" for `import source`.
        line: line of the statement.
        type_checking: whether the statement is in an `if TYPE_CHECKING` block.
    """

    source: str
    name: str
    line: int
    type_checking: bool


class Package:
    """The Python files below a folder, parsed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = root.resolve().name
        self.modules = tuple(self._parse(path) for path in sorted(root.rglob("*.py")))
        self.by_name = {module.name: module for module in self.modules}

    def _parse(self, path: Path) -> Module:
        words = [self.name, *path.relative_to(self.root).with_suffix("").parts]
        if words[-1] == "__init__":
            words.pop()
        return Module(".".join(words), path, *parse_file(path))

    @property
    def line_count(self) -> int:
        """Number of physical lines in all modules."""
        return sum(module.line_count for module in self.modules)

    def room_lines(self) -> dict[str, int]:
        """Physical lines of each room, the largest room first."""
        counts: Counter[str] = Counter()
        for module in self.modules:
            counts[module.subpackage] += module.line_count
        return dict(counts.most_common())

    def resolve(self, item: ImportItem) -> Module | None:
        """Return the module behind an import, or None for one outside the package."""
        submodule = self.by_name.get(f"{item.source}.{item.name}")
        return submodule or self.by_name.get(item.source)

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[tuple[Module, ast.AST]]:
        """Yield the syntax nodes of some kinds with their modules."""
        for module in self.modules:
            for node in ast.walk(module.tree):
                if isinstance(node, kinds):
                    yield module, node


def parse_file(path: Path) -> tuple[str, ast.Module]:
    """Read and parse a source file."""
    with tokenize.open(path) as file:
        text = file.read()
    return text, ast.parse(text, str(path))


# Names


@dataclass(frozen=True)
class DeclaredName:
    """A name in a declaration of a package.

    Attributes:
        text: the name.
        kind: "class", "function" or "variable"; parameters and fields are variables.
        predicate: whether it is a truth value; a participle is a good name for one.
        line: line of its first declaration.
    """

    text: str
    kind: str
    predicate: bool
    line: int


class NameCollector(ast.NodeVisitor):
    """Collects the declarations of a module, each name once per scope.

    A scope is a module, a class or a function. Attributes set on `self` belong to the class.
    """

    def __init__(self) -> None:
        self.names: list[DeclaredName] = []
        self._scopes: list[set[str]] = [set()]
        self._class_scopes: list[set[str]] = []
        self._methods: list[str] = []

    def _declare(self, text: str, kind: str, node: ast.AST, predicate: bool = False) -> None:
        line = getattr(node, "lineno", 1)
        self._declare_in(self._scopes[-1], DeclaredName(text, kind, predicate, line))

    def _declare_in(self, scope: set[str], name: DeclaredName) -> None:
        dunder = name.text.startswith("__") and name.text.endswith("__")
        if name.text in scope or name.text in {"self", "cls"} or dunder or not name.text.strip("_"):
            return
        scope.add(name.text)
        self.names.append(name)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Declare a class and the names in its body."""
        self._declare(node.name, "class", node)
        scope: set[str] = set()
        self._scopes.append(scope)
        self._class_scopes.append(scope)
        self.generic_visit(node)
        self._scopes.pop()
        self._class_scopes.pop()

    def visit_FunctionDef(self, node: Function) -> None:
        """Declare a function, its parameters and its local variables."""
        self._declare(node.name, "function", node, is_bool(node.returns))
        self._scopes.append(set())
        self._methods.append(node.name)
        self.generic_visit(node)
        self._methods.pop()
        self._scopes.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_arg(self, node: ast.arg) -> None:
        """Declare a parameter."""
        # Python's own documentation calls the right operand of `__eq__` and its like `other`.
        if node.arg != "other" or not self._methods[-1:] or self._methods[-1][:2] != "__":
            self._declare(node.arg, "variable", node, is_bool(node.annotation))
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global | ast.Nonlocal) -> None:
        """Leave names of an outer scope to that scope."""
        self._scopes[-1].update(node.names)

    visit_Nonlocal = visit_Global  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Declare an annotated field or variable."""
        self._declare_target(node.target, is_bool(node.annotation) or is_truth_value(node.value))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Declare the targets of an assignment."""
        for target in node.targets:
            self._declare_target(target, is_truth_value(node.value))
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """Declare the variable of any other statement, such as `for`."""
        self._declare_target(node, predicate=False)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Declare the attribute of any other statement, such as `for`."""
        self._declare_target(node, predicate=False)
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """Declare the variable of an exception."""
        if node.name:
            self._declare(node.name, "variable", node)
        self.generic_visit(node)

    def _declare_target(self, node: ast.expr, predicate: bool) -> None:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self._declare(node.id, "variable", node, predicate)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
            and self._class_scopes
        ):
            name = DeclaredName(node.attr, "variable", predicate, node.lineno)
            self._declare_in(self._class_scopes[-1], name)


def is_bool(annotation: ast.expr | None) -> bool:
    """Tell whether an annotation is `bool`, perhaps with None."""
    return annotation is not None and bool(
        re.fullmatch(r"'?(bool|bool \| None|Optional\[bool\])'?", ast.unparse(annotation))
    )


def is_truth_value(value: ast.expr | None) -> bool:
    """Tell whether an expression is True, False, a comparison or a negation."""
    if isinstance(value, ast.UnaryOp):
        return isinstance(value.op, ast.Not)
    return isinstance(value, ast.Compare) or (
        isinstance(value, ast.Constant) and isinstance(value.value, bool)
    )


def is_participle(word: str) -> bool:
    """Tell whether a lower-case word is a participle or a past tense.

    Terms of the field and the usual participles of libraries, as in `parsed`, are left out.

    >>> is_participle("unheard"), is_participle("padded"), is_participle("embedding")
    (True, False, False)
    """
    if word in PROPER_WORDS | CONVENTIONAL_PARTICIPLES or word == "unknown":
        return False
    stem = re.sub(r"^(un|re|over|mis)", "", word)
    if {word, stem} & (PARTICIPLES | PAST_TENSES):
        return True
    return len(word) > 4 and word.endswith(("ed", "ing"))


def name_fault(name: DeclaredName) -> str:
    """Classify a name as "participle", "pronoun" or "vague noun"; "" for a good name.

    Variables are judged by the whole name. Classes and functions are also judged by the last word,
    the head of the phrase.
    """
    plain = name.text.strip("_").lower()
    words = [word.lower() for word in IDENTIFIER_WORD.findall(name.text)]
    if not words:
        return ""
    if plain in PRONOUNS:
        return "pronoun"
    if plain in VAGUE_NOUNS:
        return "vague noun"
    if len(words) > 1 and name.kind == "variable":
        return ""
    if is_participle(words[-1]) and not (name.predicate or is_predicate(words)):
        return "participle"
    return ""


def is_predicate(words: Sequence[str]) -> bool:
    """Tell whether the words of a name, in lower case, form a predicate, as in `is_closed`."""
    return len(words) > 1 and (words[0] in PREDICATE_STARTS or words[-2] in PREDICATE_LINKS)


def measure_names(package: Package) -> Measurement:
    """Measure participles, pronouns and vague nouns per 1,000 declared names."""
    total = 0
    offenders: list[Offender] = []
    for module in package.modules:
        collector = NameCollector()
        collector.visit(module.tree)
        total += len(collector.names)
        offenders.extend(
            Offender(module.path, name.line, name.text, fault)
            for name in collector.names
            if (fault := name_fault(name))
        )
    return rate(offenders, 1000, total)


def rate(offenders: Sequence[Offender], unit: int, total: int) -> Measurement:
    """Return the number of offenders per `unit` of `total`."""
    return Measurement(unit * len(offenders) / max(total, 1), tuple(offenders))


# Prose


@dataclass(frozen=True)
class Token:
    """A word in lower case or a punctuation mark of a docstring, with its line in the file."""

    text: str
    line: int

    @property
    def is_word(self) -> bool:
        """Whether the token is a word."""
        return self.text[0].isalpha()


def read_docstrings(package: Package) -> Iterator[tuple[Module, list[Token]]]:
    """Yield the tokens of each docstring. A span in backquotes is the one word `code`."""
    for module, node in package.nodes(
        ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    ):
        assert isinstance(node, ast.Module | Definition)
        text = ast.get_docstring(node, clean=False)
        if text:
            yield module, tokenize_prose(text, node.body[0].lineno)


def tokenize_prose(text: str, line: int) -> list[Token]:
    """Split a docstring at a line of a file into words and punctuation marks."""
    text = CODE_SPAN.sub(lambda span: " code " + "\n" * span.group().count("\n"), text)
    text = re.sub(r"^\s*(>>>|\.\.\.) .*$", "", text, flags=re.M)
    text = re.sub(r"\n[ \t]*(?=\n)", "\n.", text)  # a blank line ends a sentence
    tokens = []
    for match in TOKEN.finditer(text):
        if match.group() == "\n":
            line += 1
        else:
            tokens.append(Token(match.group().lower(), line))
    return tokens


def is_relative(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether the word at an index introduces a relative clause."""
    word = tokens[index].text
    if word not in {"that", "which", "who", "whom", "whose", "where"}:
        return False
    before = tokens[index - 1].text if index else "."
    after = tokens[index + 1].text if index + 1 < len(tokens) else "."
    if before in {".", "!", "?", ":", "("} or before in VERBS_OF_SAYING:
        return False
    return word != "that" or is_relative_that(before, after)


def is_relative_that(before: str, after: str) -> bool:
    """Tell whether "that" between two words is a relative pronoun.

    The word before must be able to be a noun, and the word after must be able to begin a clause:
    a determiner, a pronoun or a verb.
    """
    if not before[0].isalpha() or before in PREPOSITIONS_AND_CONJUNCTIONS | FUNCTION_VERBS:
        return False
    begins_clause = after in DETERMINERS_AND_PRONOUNS | FUNCTION_VERBS or (
        after[0].isalpha() and after.endswith(("s", "ed", "ly"))
    )
    # A plural noun takes a verb without an ending: "requests that wait".
    plural = before.endswith("s") and after[0].isalpha()
    return (begins_clause or plural) and after not in PREPOSITIONS_AND_CONJUNCTIONS - {"not"}


def is_what_noun(tokens: Sequence[Token], index: int) -> bool:
    """Tell whether `what` at an index stands for a noun and does not ask a question."""
    if tokens[index].text != "what":
        return False
    if index and tokens[index - 1].text in VERBS_OF_SAYING:
        return False
    end = next((token.text for token in tokens[index:] if token.text in {".", "!", "?"}), ".")
    return end != "?"


def measure_prose(package: Package, matches: Callable[[Sequence[Token], int], bool]) -> Measurement:
    """Measure matching words per 1,000 words of docstrings."""
    total = 0
    offenders = []
    for module, tokens in read_docstrings(package):
        total += sum(token.is_word for token in tokens)
        for index in range(len(tokens)):
            if matches(tokens, index):
                phrase = " ".join(token.text for token in tokens[max(index - 3, 0) : index + 4])
                offenders.append(Offender(module.path, tokens[index].line, phrase))
    return rate(offenders, 1000, total)


def measure_relative_clauses(package: Package) -> Measurement:
    """Measure relative clauses per 1,000 words of docstrings."""
    return measure_prose(package, is_relative)


def measure_what_nouns(package: Package) -> Measurement:
    """Measure `what` in the role of a noun per 1,000 words of docstrings."""
    return measure_prose(package, is_what_noun)


def measure_comments(package: Package) -> Measurement:
    """Measure lines with a comment per 100 physical lines; directives to tools do not count."""
    count = sum(len(comment_lines(module.text)) for module in package.modules)
    return Measurement(100 * count / max(package.line_count, 1))


def comment_lines(text: str) -> list[int]:
    """Return the lines with a comment for a human reader."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [
        token.start[0]
        for token in tokens
        if token.type == tokenize.COMMENT and not PRAGMA.match(token.string)
    ]


# Size


def measure_modules(package: Package) -> Measurement:
    """Count modules."""
    return Measurement(len(package.modules))


def measure_lines(package: Package) -> Measurement:
    """Count physical lines."""
    return Measurement(package.line_count)


def measure_largest_room(package: Package) -> Measurement:
    """Measure the share of the largest room in the lines, in per cent.

    The offenders are all rooms, the largest first.
    """
    total = max(package.line_count, 1)
    line_counts = {name: lines for name, lines in package.room_lines().items() if name}
    shares = {name: 100 * lines / total for name, lines in line_counts.items()}
    offenders = tuple(
        Offender(package.root / folder, 1, f"{line_counts[folder]} lines, {shares[folder]:.1f} %")
        for folder in line_counts
    )
    return Measurement(max(shares.values(), default=0.0), offenders)


def find_functions(package: Package) -> Iterator[tuple[Module, Function]]:
    """Yield every function and method."""
    for module, node in package.nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, Function)
        yield module, node


def measure_functions(package: Package) -> Measurement:
    """Count functions and methods."""
    return Measurement(sum(1 for _ in find_functions(package)))


def measure_long_functions(package: Package) -> Measurement:
    """Count functions of more than 60 lines, docstring included and decorators not."""
    offenders = []
    for module, node in find_functions(package):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > LONG_FUNCTION_LINES:
            offenders.append(Offender(module.path, node.lineno, node.name, f"{lines} lines"))
    return count(offenders)


def count(offenders: Iterable[Offender]) -> Measurement:
    """Return the number of offenders."""
    offenders = tuple(offenders)
    return Measurement(len(offenders), offenders)


# Imports


def find_imports(module: Module) -> Iterator[ImportItem]:
    """Yield every import of a module."""
    yield from _imports_below(module, module.tree, type_checking=False)


def _imports_below(module: Module, node: ast.AST, type_checking: bool) -> Iterator[ImportItem]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield ImportItem(alias.name, "", node.lineno, type_checking)
    elif isinstance(node, ast.ImportFrom):
        source = absolute_source(module, node)
        for alias in node.names:
            yield ImportItem(source, alias.name, node.lineno, type_checking)
    body: list[ast.stmt] = []
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        body = node.body
    for child in ast.iter_child_nodes(node):
        yield from _imports_below(module, child, type_checking or child in body)


def absolute_source(module: Module, node: ast.ImportFrom) -> str:
    """Return the absolute name of the module in a `from` import."""
    if not node.level:
        return node.module or ""
    words = module.name.split(".")
    levels = node.level - (module.path.name == "__init__.py")
    base = words[: len(words) - levels]
    return ".".join([*base, node.module] if node.module else base)


def measure_deep_imports(package: Package) -> Measurement:
    """Count imports from the inside of another room instead of its face.

    The face of a room is its `__init__`. Modules beside the rooms are free for all.
    """
    offenders = []
    for module in package.modules:
        for item in module.imports:
            target = package.resolve(item)
            if target and target.subpackage not in {"", module.subpackage} and not is_face(target):
                text = f"{item.source}.{item.name}".rstrip(".")
                offenders.append(Offender(module.path, item.line, text))
    return count(offenders)


def is_face(module: Module) -> bool:
    """Tell whether other rooms may import from a module."""
    return module.name in NESTED_FACES or (
        module.path.name == "__init__.py" and module.name.count(".") <= 1
    )


def measure_cycles(package: Package) -> Measurement:
    """Count groups of modules with cyclic imports.

    Imports inside functions count, imports for type checking do not. Python also
    runs the `__init__` of a package before a submodule; only explicit imports of it count.
    """
    graph: dict[str, dict[str, int]] = {name: {} for name in package.by_name}
    for module in package.modules:
        for item in module.imports:
            target = package.resolve(item)
            if target and target is not module and not item.type_checking:
                graph[module.name].setdefault(target.name, item.line)
    offenders = []
    for group in strong_components(graph):
        if len(group) > 1:
            first = min(group)
            line = min(line for name, line in graph[first].items() if name in group)
            text = f"{len(group)} modules: " + ", ".join(sorted(group))
            offenders.append(Offender(package.by_name[first].path, line, text))
    return count(offenders)


def strong_components(graph: dict[str, dict[str, int]]) -> list[set[str]]:
    """Return the strongly connected components of a graph (Kosaraju's algorithm)."""
    reverse: dict[str, list[str]] = defaultdict(list)
    for node, targets in graph.items():
        for target in targets:
            reverse[target].append(node)
    components: list[set[str]] = []
    seen: set[str] = set()
    for root in reversed(postorder(graph)):
        if root in seen:
            continue
        component: set[str] = set()
        stack = [root]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                component.add(node)
                stack.extend(reverse[node])
        components.append(component)
    return components


def postorder(graph: dict[str, dict[str, int]]) -> list[str]:
    """Return the nodes of a graph, in depth-first order, each after its descendants."""
    order: list[str] = []
    seen: set[str] = set()
    for root in graph:
        # An explicit stack, since chains of imports can be longer than Python's recursion limit.
        stack = [(root, False)]
        while stack:
            node, is_left = stack.pop()
            if is_left:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack.extend((target, False) for target in graph[node])
    return order


# Classes and options


def find_classes(package: Package) -> Iterator[tuple[Module, ast.ClassDef]]:
    """Yield every class, nested ones included."""
    for module, node in package.nodes(ast.ClassDef):
        assert isinstance(node, ast.ClassDef)
        yield module, node


def measure_duplicate_classes(package: Package) -> Measurement:
    """Count class names that more than one class has."""
    definitions: dict[str, list[Offender]] = defaultdict(list)
    for module, node in find_classes(package):
        definitions[node.name].append(Offender(module.path, node.lineno, node.name))
    groups = [group for group in definitions.values() if len(group) > 1]
    return Measurement(len(groups), tuple(member for group in groups for member in group))


def measure_option_fields(package: Package) -> Measurement:
    """Count the fields with a default in dataclasses named `...Options`."""
    return count(field for _, field in option_fields(package))


def measure_unset_options(package: Package) -> Measurement:
    """Count option fields without a use in code or on the command line.

    A field is set by an argument to its class, by a keyword of `replace`, by a string constant
    "--field-name", or by a key of a TOML file in the package, such as a recipe. The package and the
    repository's folders of programs are searched.
    """
    usage = OptionUsage({node.name: field_names(node) for _, node in find_classes(package)})
    for path in sorted(package.root.rglob("*.toml")):
        usage.names.update(toml_keys(tomllib.loads(path.read_text(encoding="utf-8"))))
    for tree in option_users(package):
        usage.visit(tree)
    return count(
        field
        for name, field in option_fields(package)
        if field.text not in usage.names and (name, field.text) not in usage.fields
    )


def toml_keys(table: dict[str, Any]) -> Iterator[str]:
    """Yield the keys of a TOML table and of the tables in it."""
    for key, value in table.items():
        yield key
        if isinstance(value, dict):
            yield from toml_keys(value)


def option_fields(package: Package) -> Iterator[tuple[str, Offender]]:
    """Yield each option field with a default, after the name of its class."""
    for module, node in find_classes(package):
        decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
        if not node.name.endswith("Options") or "dataclass" not in decorators:
            continue
        for field in annotated_fields(node):
            if field.value is not None:
                name = ast.unparse(field.target)
                yield node.name, Offender(module.path, field.lineno, name, node.name)


def annotated_fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    """Return the field declarations in the body of a dataclass."""
    return [
        statement
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and "ClassVar" not in ast.unparse(statement)
    ]


def field_names(node: ast.ClassDef) -> list[str]:
    """Return the names of a dataclass's fields in their order."""
    return [ast.unparse(field.target) for field in annotated_fields(node)]


def option_users(package: Package) -> Iterator[ast.Module]:
    """Yield the syntax trees of all code with access to the options of a package."""
    yield from (module.tree for module in package.modules)
    root = package.root.resolve()
    for folder in root.parents:
        if (folder / "pyproject.toml").exists():
            for path in sorted(p for top in OPTION_FOLDERS for p in (folder / top).rglob("*.py")):
                if not path.is_relative_to(root):
                    yield parse_file(path)[1]
            return


class OptionUsage(ast.NodeVisitor):
    """Collects assignments to option fields.

    Attributes:
        fields: pairs of a class name and a field in a call of the class.
        names: fields set without a mention of the class.
    """

    def __init__(self, signatures: dict[str, list[str]]) -> None:
        self._signatures = signatures
        self.fields: set[tuple[str, str]] = set()
        self.names: set[str] = set()

    def visit_Call(self, node: ast.Call) -> None:
        """Record the arguments of a call."""
        callee = ast.unparse(node.func).rpartition(".")[2]
        keywords = [keyword.arg for keyword in node.keywords if keyword.arg]
        if callee == "replace":
            self.names.update(keywords)
        elif callee in self._signatures:
            positional = self._signatures[callee][: len(node.args)]
            self.fields.update((callee, name) for name in [*positional, *keywords])
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Record a command-line option."""
        if isinstance(node.value, str) and re.fullmatch(r"--[a-z][a-z0-9-]*", node.value):
            self.names.add(node.value[2:].replace("-", "_"))


# Figures and output


@dataclass(frozen=True)
class Bar:
    """A condition on a figure, such as `<= 15`."""

    operator: str
    limit: float

    def is_met(self, value: float) -> bool:
        """Tell whether a value meets the bar."""
        if self.operator == "<":
            return value < self.limit
        return value <= self.limit if self.operator == "<=" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.operator} {self.limit:,.0f}"


@dataclass(frozen=True)
class Figure:
    """A measured property of a package.

    Attributes:
        key: name for `--list` and JSON.
        title: label in the table.
        measure: function of a package.
        bar: condition of `--check`; None for a figure without one.
        reference: range over whisper, model2vec, llm, pylate and httpx, measured by this script.
        decimals: decimals in the table.
    """

    key: str
    title: str
    measure: Callable[[Package], Measurement]
    bar: Bar | None = None
    reference: str = ""
    decimals: int = 0

    def format(self, value: float) -> str:
        """Format a value for the table."""
        return f"{value:,.{self.decimals}f}"


# The admired releases are openai-whisper 20250625, model2vec 0.10.0, llm 0.36, pylate 1.6.0 and
# httpx 0.28.1.
AT_MOST_ZERO = Bar("<=", 0)
FIGURES = (
    Figure("modules", "modules", measure_modules, None, "14 - 87"),
    Figure("lines", "lines", measure_lines, Bar("<=", 80_000), "3,966 - 16,490"),
    Figure("rooms", "largest room, % of lines", measure_largest_room, Bar("<=", 15), "10 - 54", 1),
    Figure("functions", "functions", measure_functions, None, "154 - 552"),
    Figure("long-functions", "functions over 60 lines", measure_long_functions, None, "8 - 49"),
    Figure("names", "poor names per 1,000", measure_names, Bar("<", 15), "1.2 - 13.9", 1),
    Figure(
        "relative-clauses",
        "relative clauses per 1,000 words",
        measure_relative_clauses,
        Bar("<", 11),
        "4.8 - 8.5",
        1,
    ),
    Figure(
        "what", "'what' as a noun per 1,000 words", measure_what_nouns, Bar("<", 2), "0 - 0.2", 1
    ),
    Figure("comments", "comments per 100 lines", measure_comments, Bar(">=", 3), "1.9 - 5.0", 1),
    Figure(
        "deep-imports", "names imported past a face", measure_deep_imports, AT_MOST_ZERO, "0 - 6"
    ),
    Figure("cycles", "import cycles", measure_cycles, AT_MOST_ZERO, "1 - 2"),
    Figure(
        "duplicate-classes",
        "class names used twice",
        measure_duplicate_classes,
        AT_MOST_ZERO,
        "0 - 2",
    ),
    Figure("options", "options with a default", measure_option_fields, None, "0 - 15"),
    Figure("unset-options", "options that nothing sets", measure_unset_options, None, "0 - 10"),
)

Measurements = dict[str, Measurement]


def measure(package: Package) -> Measurements:
    """Measure every figure of a package."""
    return {figure.key: figure.measure(package) for figure in FIGURES}


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Align rows of cells: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def figure_table(results: dict[str, Measurements]) -> str:
    """Format the figures, with a column for each package."""
    rows = [["", *results, "bar", "admired"]]
    for figure in FIGURES:
        values = [
            figure.format(measurements[figure.key].value) for measurements in results.values()
        ]
        rows.append([figure.title, *values, str(figure.bar or ""), figure.reference])
    return format_table(rows)


def room_table(package: Package) -> str:
    """Format the lines of each room with its share of the package."""
    total = max(package.line_count, 1)
    rows = [["room", "lines", "share"]]
    for name, lines in package.room_lines().items():
        rows.append([name or "(top modules)", f"{lines:,}", f"{100 * lines / total:.1f} %"])
    return format_table(rows)


def to_json(package: Package, measurements: Measurements) -> dict[str, object]:
    """Return the values, bars and rooms of a package as JSON data."""
    figures = {
        figure.key: {
            "value": measurements[figure.key].value,
            "bar": str(figure.bar) if figure.bar else None,
            "met": figure.bar.is_met(measurements[figure.key].value) if figure.bar else None,
        }
        for figure in FIGURES
    }
    return {"figures": figures, "room_lines": package.room_lines()}


def missed_bars(label: str, measurements: Measurements) -> list[str]:
    """Return a message for each missed bar of a package."""
    return [
        f"{label}: {figure.title} is {figure.format(measurements[figure.key].value)}, "
        f"must be {figure.bar}"
        for figure in FIGURES
        if figure.bar and not figure.bar.is_met(measurements[figure.key].value)
    ]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Measure the quality of Python code.")
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="package folder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--list",
        dest="key",
        metavar="NAME",
        choices=[figure.key for figure in FIGURES],
        help="print the offenders of a figure: " + ", ".join(figure.key for figure in FIGURES),
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed")
    arguments = parser.parse_args(argv)
    for path in arguments.paths:
        if not path.is_dir():
            parser.error(f"{path} is not a folder")
    return arguments


def load_packages(paths: Sequence[Path]) -> dict[str, Package]:
    """Parse packages; the keys are their names, or the paths where two have the same name."""
    packages = [Package(path) for path in paths]
    if len({package.name for package in packages}) == len(packages):
        return {package.name: package for package in packages}
    return {str(package.root): package for package in packages}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = parse_arguments(argv)
    packages = load_packages(arguments.paths or [DEFAULT_PATH])
    if arguments.key:
        figure = next(figure for figure in FIGURES if figure.key == arguments.key)
        for package in packages.values():
            for offender in figure.measure(package).offenders:
                print(offender)
        return 0
    results = {label: measure(package) for label, package in packages.items()}
    if arguments.json:
        data = {label: to_json(packages[label], results[label]) for label in packages}
        print(json.dumps(data, indent=2))
    else:
        print(figure_table(results))
        for package in packages.values():
            print(f"\n{room_table(package)}")
    failures = [line for label in results for line in missed_bars(label, results[label])]
    if arguments.check and failures:
        print(*failures, sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
