"""The blocks of code that the documents show, and where each kind of them is held."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "ARCHITECTURE.md", "docs/*.md", "deploy/README.md", "examples/README.md", "loadtest/README.md"]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What is after the fence → the test that holds such blocks.
HELD = {
    "js": "test_documents.py, as programs",
    "js theirs": "test_documents.py: they parse; they need other servers",
    "js sdk": "sdk/typescript/test/documents.test.ts",
    "ts": "sdk/typescript/test/documents.test.ts, run beside the fake server and compiled",
    "ts more": "the same, after the first example of docs/sdk.md",
    "ts test chat.ts": "sdk/typescript/test/examples/chat.ts",
    "ts test chat.test.ts": "sdk/typescript/test/examples/chat.test.ts",
    "tsx test react.test.tsx": "sdk/typescript/test/examples/react.test.tsx",
    "tsx": "sdk/typescript/test/documents-react.test.ts",
    "vue": "sdk/typescript/test/documents.test.ts: the script compiles",
    "svelte": "sdk/typescript/test/documents.test.ts: the script compiles",
    "rust": "test_documents.py, as crates/client/examples/quickstart.rs",
    "toml": "test_documents.py",
    "nginx": "test_documents.py",
    "haproxy": "test_documents.py",
    "console": "test_commands.py",
    "sh": "test_commands.py: programs, subcommands and flags exist",
    "json client": "crates/protocol/tests/docs.rs",
    "json server": "crates/protocol/tests/docs.rs",
    "text example": "crates/roomcast/tests/node/patterns.rs",
    "mermaid": "a picture",
    "text example": "crates/roomcast/tests/node/patterns.rs",
    "text": "a picture, a request, or a rule of Redis's access lists (crates/bus/tests/topologies.rs)",
}


@dataclass
class Block:
    page: str
    line: int
    kind: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def blocks(*kinds, page=None):
    """All blocks of these kinds, of one page or of all, in their order."""
    found = []
    for path in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
        text, name = path.read_text(), str(path.relative_to(ROOT))
        for match in FENCE.finditer(text):
            line = text[: match.start()].count("\n") + 1
            block = Block(name, line, match[1], match[2])
            if (not kinds or block.kind in kinds) and page in (None, name):
                found.append(block)
    return found
