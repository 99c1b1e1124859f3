"""What the documents show: commands, configurations, programs."""
import re

from harness import paths

MANUALS = sorted((paths.ROOT / "man").glob("*.[1-8]"))
README = paths.ROOT / "README.md"
PACKAGES = [paths.ROOT / "src" / "worker" / name / "README.md" for name in ("python", "node")]


def fences(document, language):
    """The fenced blocks of a Markdown file in this language."""
    text = document.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def plain(text):
    """mdoc source of a literal line, as it is shown."""
    return text.replace("\\e", "\\").replace("\\-", "-").replace("\\(dq", '"').replace("\\&", "")


def literals(manual):
    """The literal blocks of a manual."""
    text = manual.read_text(encoding="utf-8")
    return [plain(block) for block in re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", text, re.MULTILINE | re.DOTALL)]


def literal(manual, beginning):
    """The one block of the manual that begins so."""
    found = [block for block in literals(paths.ROOT / "man" / manual) if block.startswith(beginning)]
    assert len(found) == 1, f"{manual}: {len(found)} blocks begin with {beginning!r}"
    return found[0]


def commands():
    """[(document's name, command)]: every line of the READMEs' sh blocks, and every line of a manual that begins with "$ "."""
    found = [(str(readme.relative_to(paths.ROOT)), line) for readme in (README, *PACKAGES)
             for block in fences(readme, "sh") for line in block.splitlines() if line and not line.startswith("#")]
    for manual in MANUALS:
        lines = [plain(line.removeprefix(".Dl ")) for line in manual.read_text(encoding="utf-8").splitlines()]
        found += [(manual.name, line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]
    return found


def configurations():
    """[(name, text)]: every JSON object that README or a manual shows."""
    found = [(README.name, block) for block in fences(README, "json")]
    for manual in MANUALS:
        found += [(manual.name, block) for block in literals(manual) if block.startswith("{")]
    return [(f"{name}-{number}", text) for number, (name, text) in enumerate(found)]
