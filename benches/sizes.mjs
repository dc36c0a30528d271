// Sizes of the page's programs as a host sends them: `make bench`, or `node benches/sizes.mjs` after `make page`.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const dist = process.env.DUIA_DIST ?? new URL("../dist", import.meta.url).pathname;
for (const file of readdirSync(dist).filter((name) => /\.(wasm|js|css)$/.test(name)).sort()) {
  const bytes = readFileSync(`${dist}/${file}`);
  const zipped = gzipSync(bytes, { level: 9 }).length;
  console.log(`${file.padEnd(36)} ${String(Math.round(bytes.length / 1024)).padStart(6)} KB ${String(Math.round(zipped / 1024)).padStart(6)} KB gzip`);
}
