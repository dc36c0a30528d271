// The texts of the source, for the test of their translations: what stands in quotes in Rust, in quotes and backquotes in the scripts,
// and between the tags of index.html. Holes are written as the entries of assets/zh.json have them: `{}` or `{name}`.

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path) => readFile(join(root, path), "utf8");

/** The paths of all Rust files below a folder. */
async function rust(folder) {
  const files = await readdir(join(root, folder), { recursive: true });
  return files.filter((file) => file.endsWith(".rs")).map((file) => `${folder}/${file}`);
}

const tidy = (text) => text.trim().replace(/\s+/g, " ");

/** What stands in quotes in Rust: each text, and what stands before it in the source. */
function quoted(source) {
  // A character in quotes may be a quote.
  const tokens = /\/\/[^\n]*|'(?:\\[^']+|[^'\\])'|\br(#*)"([\s\S]*?)"\1|"((?:\\[\s\S]|[^"\\])*)"/g;
  const found = [];
  for (const token of source.matchAll(tokens)) {
    const raw = token[2] ?? token[3];
    if (raw === undefined) continue;
    const plain = token[3] === undefined ? raw : raw.replace(/\\\n\s*/g, "").replace(/\\u\{(\w+)\}/g, (_, code) => String.fromCodePoint(parseInt(code, 16)));
    const text = plain.replace(/\\(["\\])/g, "$1").replace(/\{(\w*):[^{}]*\}/g, "{$1}").replace(/\{\d+\}/g, "{}");
    found.push({ text, before: source.slice(Math.max(0, token.index - 60), token.index) });
  }
  return found;
}

/** What stands in quotes and backquotes in a script. */
function scripted(source) {
  const found = [];
  /** Reads a template from its first letter on and gives where it ends. */
  const template = (from) => {
    let text = "";
    let at = from;
    while (source[at] !== "`") {
      if (source.startsWith("${", at)) {
        at = code(at + 2, "}") + 1;
        text += "{}";
      } else {
        text += source[at];
        at += 1;
      }
    }
    found.push({ text, before: "" });
    return at;
  };
  const code = (from, end) => {
    let depth = 0;
    let at = from;
    for (; at < source.length && (source[at] !== end || depth > 0); at += 1) {
      if (source[at] === "{") depth += 1;
      if (source[at] === "}") depth -= 1;
      if (source.startsWith("//", at) && source[at - 1] !== ":") at = source.indexOf("\n", at);
      else if (source[at] === "`") at = template(at + 1);
      else if (source[at] === '"') {
        const text = /^(?:\\.|[^"\\])*/.exec(source.slice(at + 1))[0];
        found.push({ text: text.replace(/\\(.)/g, "$1"), before: "" });
        at += text.length + 1;
      }
    }
    return at;
  };
  code(0, null);
  return found;
}

/** What stands between the tags of a page: paragraphs with the marks in them, and the rest in pieces. */
function marked(source) {
  const bare = source.replace(/<!--[\s\S]*?-->|<(noscript|math)\b[\s\S]*?<\/\1>/g, "");
  const parts = [...bare.matchAll(/<(title|h1|h2|h3|p|dt|dd|button)\b[^>]*>([\s\S]*?)<\/\1>/g)].map((found) => found[2]);
  return parts.flatMap((part) => (part.includes("<span") ? part.split(/<[^>]+>/) : [part])).map((text) => ({ text: tidy(text), before: "" }));
}

/** Rust without its tests. */
const untested = (source) => source.replace(/#\[cfg\(test\)\]\s*mod tests \{[\s\S]*$/, "");

/** All texts by file: of the page, of the worker, and of the core. */
export async function texts() {
  const all = new Map();
  for (const file of [...(await rust("web")), ...(await rust("src"))]) all.set(file, quoted(untested(await read(file))));
  for (const file of ["assets/boot.js", "src/replay/play.js"]) all.set(file, scripted(await read(file)));
  all.set("index.html", marked(await read("index.html")));
  return all;
}

/** A text without the space, the signs and the holes around it: two that are alike but for these are one text. */
export function bare(text) {
  const ends = String.raw`(?:\s|[.,;:()]|\{\w*\})+`;
  const core = tidy(text).replace(new RegExp(`^${ends}|${ends}$`, "g"), "");
  return core.slice(0, 1).toLowerCase() + core.slice(1);
}

/** The entries of a language. */
export const entries = async (language) => JSON.parse(await read(`assets/${language}.json`));

/** The module that translates. */
export const language = () => import(new URL("../../assets/language.js", import.meta.url).href);
