"""The reference of the Python package, from its sources and their docstrings."""

import ast
import inspect
import pathlib
import re

INTRODUCTION = """# Python package

Everything public, from its docstrings. [RoPE in a model](../tutorials/models.md) is a tutorial,
[PyTorch](../pytorch.md) about operators and models of PyTorch.
"""
MODULES = ["rope_mlir", "rope_mlir.ir", "rope_mlir.passes", "rope_mlir.torch"]


class Sources:
    """Modules of the package, parsed, not imported."""

    def __init__(self, root: pathlib.Path, stubs: pathlib.Path) -> None:
        self.root, self.stubs, self.trees = root, stubs, {}

    def tree(self, name: str) -> ast.Module:
        if name not in self.trees:
            path = self.root.joinpath(*name.split("."))
            files = (
                [self.stubs] if name == "rope_mlir._core" else [path / "__init__.py", path.with_suffix(".py")]
            )
            self.trees[name] = ast.parse(next(file for file in files if file.is_file()).read_text())
        return self.trees[name]

    def find(self, module: str, name: str) -> tuple:
        """Where a name of a module is defined, imports followed, and its definition there."""
        for node in self.tree(module).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
                return module, node
            if isinstance(node, ast.ImportFrom) and any(
                (alias.asname or alias.name) == name for alias in node.names
            ):
                path = self.root.joinpath(*module.split("."))
                package = module.split(".") if path.is_dir() else module.split(".")[:-1]
                package = package[: len(package) - (node.level - 1)]
                if node.module:
                    return self.find(".".join([*package, node.module]), name)
        raise SystemExit(f"error: {module} exports {name}, which is not defined")

    def exported(self, module: str) -> list:
        """The names in `__all__`."""
        for node in self.tree(module).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                return ast.literal_eval(node.value)
        raise SystemExit(f"error: {module} has no __all__")


def prose(text: str) -> str:
    """A docstring as Markdown: its sections are lists."""
    out, section = [], False
    for line in inspect.cleandoc(text).splitlines():
        if re.fullmatch(
            r"(Args|Returns|Raises|Attributes|Yields|Example|Examples|Source|Shapes|Note):", line
        ):
            section = line in ("Args:", "Raises:", "Attributes:")
            out += ["", f"**{line[:-1].replace('Args', 'Arguments')}**", ""]
        elif section and (item := re.match(r" {4}(\*{0,2}\w[\w, *.]*)(?: \(.*?\))?: (.*)$", line)):
            out.append(f"- `{item[1]}`: {item[2]}")
        elif line.startswith("    "):
            out.append(line[6:] if section and line.startswith("      ") else line[4:])
            if section:
                out[-1] = "  " + out[-1]
        else:
            section = section and not line
            out.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def signature(node: ast.FunctionDef, drop_self: bool) -> str:
    """The text of a function's head, one argument a line where it is long."""
    arguments = node.args
    if drop_self and (arguments.posonlyargs or arguments.args):
        first = arguments.posonlyargs or arguments.args
        del first[0]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    pieces, depth, current = [], 0, ""
    for c in ast.unparse(arguments) + ",":
        depth += (c in "([{") - (c in ")]}")
        if c == "," and not depth:
            pieces.append(re.sub(r"^(\w+: .*?)=(?!=)", r"\1 = ", current.strip()))
            current = ""
        else:
            current += c
    line = f"{node.name}({', '.join(pieces)}){returns}"
    if len(line) <= 100:
        return line
    return f"{node.name}(\n" + "".join(f"    {piece},\n" for piece in pieces) + f"){returns}"


def check_described(node: ast.FunctionDef, doc: str, where: str) -> None:
    """A docstring says something of the function and of each parameter."""
    arguments = node.args
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    missing = [name for name in names if name not in ("self", "cls") and not re.search(rf"\b{name}\b", doc)]
    if missing or not doc:
        raise SystemExit(
            f"error: the docstring of {where}{node.name} does not say what is {missing or 'done'}"
        )


def fence(text: str) -> str:
    return f"```text\n{text}\n```\n\n"


def describe(node: ast.AST, level: str) -> str:
    """A function or a class with its public methods and properties."""
    doc = ast.get_docstring(node, clean=False) or ""
    if isinstance(node, ast.FunctionDef):
        check_described(node, doc, "")
        return f"{level} `{node.name}`\n\n{fence(signature(node, False))}{prose(doc)}\n\n"
    bases = [ast.unparse(base) for base in node.bases]
    page = (
        f"{level} `{node.name}`\n\n"
        + (f"Base: `{', '.join(bases)}`. " if bases else "")
        + f"{prose(doc)}\n\n"
    )
    properties = methods = ""
    if "Attributes:" not in doc:
        for part, after in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
            if isinstance(part, ast.AnnAssign) and not part.target.id.startswith("_"):
                text = ast.literal_eval(after.value) if isinstance(after, ast.Expr) else ""
                what = f": {' '.join(text.split())}" if text else ""
                properties += f"- `{part.target.id}` (`{ast.unparse(part.annotation)}`){what}\n"
    for part in node.body:
        if not isinstance(part, ast.FunctionDef) or part.name.startswith("_") and part.name != "__call__":
            continue
        text = ast.get_docstring(part, clean=False) or ""
        marks = [ast.unparse(mark) for mark in part.decorator_list]
        if any(mark.endswith((".setter", "overload")) for mark in marks):
            continue
        check_described(part, text, f"{node.name}.")
        if "property" in marks:
            kind = f" (`{ast.unparse(part.returns)}`)" if part.returns else ""
            properties += f"- `{part.name}`{kind}: {' '.join(prose(text).split())}\n"
        else:
            head = fence(signature(part, "staticmethod" not in marks))
            methods += f"{level}# `{part.name}`\n\n{head}{prose(text)}\n\n"
    return page + (f"**Properties**\n\n{properties}\n" if properties else "") + methods


def python_reference(root: pathlib.Path, stubs: pathlib.Path) -> str:
    """The page; `root` holds the package, `stubs` what its extension module has."""
    sources, page, said = Sources(root, stubs), INTRODUCTION, {}
    for module in MODULES:
        page += f"\n## `{module}`\n\n{prose(ast.get_docstring(sources.tree(module), clean=False) or '')}\n\n"
        for name in sorted(sources.exported(module), key=str.lower):
            if f"{module}.{name}" in MODULES:
                continue
            where, node = sources.find(module, name)
            if (where, name) in said:
                page += f"`{name}` is [that of `{said[where, name]}`](#{name.lower()}).\n\n"
                continue
            said[where, name] = module
            page += describe(node, "###")
    return page
