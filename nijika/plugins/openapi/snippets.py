"""Examples of a call that run as they stand, in the languages that most callers speak."""

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any, Literal

Body = Literal["none", "picture", "file"]
FILES: dict[Body, str] = {"none": "", "picture": "picture.jpg", "file": "input.bin"}
TYPES: dict[Body, str] = {"none": "", "picture": "image/jpeg", "file": "application/octet-stream"}


@dataclass(frozen=True)
class Snippet:
    """One example."""

    language: str
    text: str


@dataclass(frozen=True)
class Call:
    """What an example calls: `key` is "" where none is needed, `result` is the file for an answer that is no JSON."""

    method: str
    url: str
    key: str
    body: Body
    body_type: str
    result: str

    @property
    def is_bare(self) -> bool:
        """Whether the answer is a head without a body."""
        return self.method == "HEAD"

    @property
    def fields(self) -> dict[str, str]:
        """The fields of its head."""
        fields = {"X-API-Key": self.key} if self.key else {}
        return fields | ({"Content-Type": self.body_type} if self.body != "none" else {})


def call(operation: dict[str, Any], method: str, url: str, path: str, key: str) -> Call:
    """The call of an operation; what stands for a variable of its path is written in capitals."""
    kinds = operation.get("requestBody", {}).get("content", {})
    picture = any(kind.startswith("image/") for kind in kinds)
    body: Body = "picture" if picture else "file" if kinds else "none"
    plain = next((kind for kind in kinds if "*" not in kind and not kind.startswith("multipart/")), TYPES["file"])
    answers = next(iter(operation["responses"].values())).get("content", {})
    answer = next(iter(answers), "")
    result = "" if answer in {"", "application/json"} else f"result.{answer.partition('/')[2]}" if picture else "result"
    named = re.sub(r"\{([a-z_]+)\}", lambda name: name[1].upper(), path)
    return Call(method, url + named, key, body, TYPES["picture"] if picture else plain, result.replace(".*", ""))


def snippets(call: Call) -> list[Snippet]:
    """curl, Python and JavaScript."""
    return [Snippet("curl", curl(call)), Snippet("Python", python(call)), Snippet("JavaScript", javascript(call))]


def curl(call: Call) -> str:
    """For a shell."""
    lines = ["curl --fail-with-body" + (f" -o {call.result}" if call.result else "")]
    if call.is_bare:
        lines[0] += " --head"  # with -X it would wait for a body
    elif call.method != ("GET" if call.body == "none" else "POST"):
        lines[0] += f" -X {call.method}"
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in call.fields.items()]
    if call.body != "none":
        lines.append(f"--data-binary @{FILES[call.body]}")
    lines.append(shlex.quote(call.url))
    return " \\\n  ".join(lines)


def python(call: Call) -> str:
    """With requests, which most have."""
    arguments = [_quoted(call.url)]
    if call.fields:
        arguments.append("headers={" + ", ".join(f"{_quoted(n)}: {_quoted(v)}" for n, v in call.fields.items()) + "}")
    lines = ["import requests", ""]
    if call.body == "none":
        lines += _python_call(call, arguments, "")
    else:
        lines += [f'with open("{FILES[call.body]}", "rb") as body:']
        lines += _python_call(call, [*arguments, "data=body"], "    ")
    lines.append("answer.raise_for_status()")
    if call.result:
        lines += [f'with open("{call.result}", "wb") as file:', "    file.write(answer.content)"]
    else:
        lines.append("print(dict(answer.headers))" if call.is_bare else "print(answer.json())")
    return "\n".join(lines)


def _python_call(call: Call, arguments: list[str], indent: str) -> list[str]:
    inner = [f"{indent}    {argument}," for argument in [*arguments, "timeout=600"]]
    return [f"{indent}answer = requests.request(", f"{indent}    {_quoted(call.method)},", *inner, f"{indent})"]


def javascript(call: Call) -> str:
    """For Node; a key has no place in a page that others open."""
    needed = [name for name, is_used in (("readFile", call.body != "none"), ("writeFile", call.result)) if is_used]
    options = [f"method: {_quoted(call.method)}"] if call.method != "GET" else []
    if call.fields:
        options.append("headers: {" + ", ".join(f"{_quoted(n)}: {_quoted(v)}" for n, v in call.fields.items()) + "}")
    if call.body != "none":
        options.append(f'body: await readFile("{FILES[call.body]}")')
    lines = [f'import {{ {", ".join(needed)} }} from "node:fs/promises";', ""] if needed else []
    if options:
        lines += [f"const answer = await fetch({_quoted(call.url)}, {{", *(f"  {option}," for option in options), "});"]
    else:
        lines.append(f"const answer = await fetch({_quoted(call.url)});")
    problem = "answer.statusText" if call.is_bare else "(await answer.json()).detail"
    lines.append(f"if (!answer.ok) throw new Error({problem});")
    if call.result:
        lines.append(f'await writeFile("{call.result}", Buffer.from(await answer.arrayBuffer()));')
    else:
        shown = "Object.fromEntries(answer.headers)" if call.is_bare else "await answer.json()"
        lines.append(f"console.log({shown});")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
