// Puts the packages together: node web/element/assemble.mjs npm|notebook DIST FOLDER. DIST is the built page. Nothing is published.

import { access, cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Of each package: its files and where they come from, the folder of the page in it, and the file that has a version. */
const PACKAGES = {
  npm: {
    files: {
      "package.json": "web/element/package.json",
      "duia-live.js": "web/element/duia-live.js",
      "duia-live.d.ts": "web/element/duia-live.d.ts",
      "example.html": "examples/element.html",
      "README.md": "docs/embedding.md",
      LICENSE: "LICENSE",
    },
    page: "page",
    told: "package.json",
  },
  notebook: {
    files: {
      "pyproject.toml": "web/notebook/pyproject.toml",
      "duia_live/__init__.py": "web/notebook/duia_live.py",
      "duia_live/widget.js": "web/notebook/widget.js",
      "duia_live/duia-live.js": "web/element/duia-live.js",
      "live.ipynb": "examples/notebook/live.ipynb",
      LICENSE: "LICENSE",
    },
    page: "duia_live/page",
    told: "pyproject.toml",
  },
};

export async function assemble(name, dist, folder) {
  const { files, page, told } = PACKAGES[name];
  await access(join(dist, "worker_bg.wasm")).catch(() => {
    throw new Error(`no built page in ${dist}: run "make page" first`);
  });
  await rm(folder, { recursive: true, force: true });
  for (const [file, from] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await cp(join(ROOT, from), join(folder, file));
  }
  // A sample of real rows has a licence of its own, and what packs a package packs the page with it.
  const left = /assets\/sample\.bin$|\.(br|gz)$/;
  await cp(dist, join(folder, page), { recursive: true, filter: (file) => !left.test(file) });
  const [, version] = /^version = "(.*)"$/m.exec(await readFile(join(ROOT, "Cargo.toml"), "utf8"));
  await writeFile(join(folder, told), (await readFile(join(folder, told), "utf8")).replace('"0.0.0"', `"${version}"`));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name, dist, folder] = process.argv.slice(2);
  if (!PACKAGES[name] || !folder) throw new Error(`usage: node web/element/assemble.mjs ${Object.keys(PACKAGES).join("|")} DIST FOLDER`);
  await assemble(name, dist, folder);
}
