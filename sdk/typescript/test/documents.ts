// The blocks of code that the documents show, written out as files that can be compiled and run.
// Knows nothing of what they should do.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const docs = join(here, "../../../docs");
/** Not looked at by the compiler or by git: names with a dot are left out. */
const folder = join(here, ".documents");

export interface Block {
  page: string;
  /** The heading above it. */
  heading: string;
  /** What stands after the fence. */
  kind: string;
  text: string;
}

export function blocks(page: string, ...kinds: string[]): Block[] {
  const found: Block[] = [];
  const text = readFileSync(join(docs, page), "utf8");
  let heading = "";
  for (const match of text.matchAll(/^#+ (.+)$|^```([^\n]*)\n([\s\S]*?)^```$/gm)) {
    const [, title, kind = "", code = ""] = match;
    if (title !== undefined) heading = title;
    else if (kinds.includes(kind)) found.push({ page, heading, kind, text: code });
  }
  return found;
}

/** What `client` and `room` are in the examples: those of the first one, before it publishes. */
function prelude(): string {
  const [first] = blocks("sdk.md", "ts");
  return (first?.text ?? "").replace(/^await room\.publish.*\n/m, "");
}

/** Makes a module of a block and gives its path. */
export function write(block: Block): string {
  const { page, heading, kind, text } = block;
  const name = `${page}-${heading}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const path = join(folder, `${name}.${kind == "tsx" ? "tsx" : "ts"}`);
  mkdirSync(folder, { recursive: true });
  put(join(folder, "client.ts"), `import { Client } from "@roomcast/client";\nexport const client = new Client("ws://127.0.0.1:8080/ws");\n`);
  put(path, `${module(kind, text)}\nexport {};\n`);
  return path;
}

/** A file that is right already stays as it is: another test may be reading it. */
function put(path: string, text: string): void {
  if (!existsSync(path) || readFileSync(path, "utf8") != text) writeFileSync(path, text);
}

function module(kind: string, text: string): string {
  switch (kind) {
    case "ts more":
      return prelude() + text;
    case "js sdk":
      return text.replace(/"http:[^"]*\/client\.js"/, '"@roomcast/client"');
    case "vue":
    case "svelte":
      return /<script[^>]*>\n([\s\S]*?)<\/script>/.exec(text)?.[1] ?? "";
    default:
      return text;
  }
}

/** The text of a file in `test/examples`. */
export function example(name: string): string {
  return readFileSync(join(here, "examples", name), "utf8");
}

export function source(): string {
  return ["outbox", "tokens", "connector", "room", "publish", "iterate", "client"]
    .map((name) => readFileSync(join(here, `../src/${name}.ts`), "utf8"))
    .join("\n");
}

export function page(name: string): string {
  return readFileSync(join(docs, name), "utf8");
}
