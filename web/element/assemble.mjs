// Puts the npm package together: node web/element/assemble.mjs DIST FOLDER. DIST is the built page. Nothing is published.

import { access, cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Where each file of the package comes from. */
const FILES = {
  "duia-live.js": "web/element/duia-live.js",
  "duia-live.d.ts": "web/element/duia-live.d.ts",
  "example.html": "examples/element.html",
  "README.md": "docs/embedding.md",
  LICENSE: "LICENSE",
};

export async function assemble(dist, folder) {
  await access(join(dist, "worker_bg.wasm")).catch(() => {
    throw new Error(`no built page in ${dist}: run "make page" first`);
  });
  const crate = await readFile(join(ROOT, "Cargo.toml"), "utf8");
  const [, version] = /^version = "(.*)"$/m.exec(crate);
  const told = JSON.parse(await readFile(join(ROOT, "web/element/package.json"), "utf8"));
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "package.json"), `${JSON.stringify({ ...told, version }, null, 2)}\n`);
  for (const [name, from] of Object.entries(FILES)) await cp(join(ROOT, from), join(folder, name));
  // A sample of real rows has a licence of its own.
  await cp(dist, join(folder, "page"), { recursive: true, filter: (file) => !file.endsWith("assets/sample.bin") });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [dist, folder] = process.argv.slice(2);
  if (!folder) throw new Error("usage: node web/element/assemble.mjs DIST FOLDER");
  await assemble(dist, folder);
}
