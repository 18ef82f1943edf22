"""The examples in the docstrings and in the README: they run, and print what they say."""

from __future__ import annotations

import asyncio
import doctest
import os
import re
import threading
import types
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import linklock
from linklock import _errors, _lock, _words, flufl
from linklock.flufl import _lockfile

README = Path(__file__).parent.parent / "README.md"
WORLD = {
    "asyncio": asyncio,
    "linklock": linklock,
    "os": os,
    "threading": threading,
    "timedelta": timedelta,
}


def docstrings(thing: object) -> Iterator[tuple[str, str]]:
    for name, part in vars(thing).items():
        if isinstance(part, type) and part.__module__.startswith("linklock"):
            yield name, part.__doc__ or ""
            for method, function in vars(part).items():
                if isinstance(function, (types.FunctionType, property)):
                    yield f"{name}.{method}", function.__doc__ or ""


def examples() -> Iterator[tuple[str, str]]:
    yield "linklock", linklock.__doc__ or ""
    yield "linklock.flufl", flufl.__doc__ or ""
    for module in (_errors, _lock, _words, _lockfile):
        yield from docstrings(module)


EXAMPLES = {name: text for name, text in examples() if ">>>" in text}


def test_each_public_method_of_lock_has_an_example() -> None:
    methods = [
        name
        for name, part in vars(linklock.Lock).items()
        if isinstance(part, types.FunctionType) and not name.startswith("_")
    ]
    assert len(methods) > 10
    missing = {name for name in methods if f"Lock.{name}" not in EXAMPLES}
    assert missing == {"expires_at"}  # whose answer is a date


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_in_a_docstring_runs(path: Path, name: str) -> None:
    text = EXAMPLES[name].replace("/shared", str(path.parent))
    test = doctest.DocTestParser().get_doctest(text, dict(WORLD), name, None, None)
    failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert (failed, tried > 0) == (0, True)
    for token in path.parent.glob("*.fence"):  # a counter stays
        for file in token.iterdir():
            file.unlink()
        token.rmdir()


BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_in_the_readme_runs(
    path: Path, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flufl.Lock, "keep_claim", False)  # at the end, whatever the example sets
    program = block.replace("/shared", str(path.parent))
    if "async with" in program:
        indented = "".join(f"    {line}\n" for line in program.splitlines())
        program = f"async def main():\n{indented}\nasyncio.run(main())"
    exec(program, dict(WORLD))
