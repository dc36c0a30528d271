// Sizes of the page's programs as a host sends them, as they are and packed: `make bench`, or `node benches/sizes.mjs` after `make page`.
import { readdirSync, statSync } from "node:fs";

const dist = process.env.DUIA_DIST ?? new URL("../dist", import.meta.url).pathname;
/** A dash for what is not there: small files are not packed, and `trunk build` alone packs none. */
const kilobytes = (file) => {
  const found = statSync(`${dist}/${file}`, { throwIfNoEntry: false });
  return (found ? `${Math.round(found.size / 1024)} KB` : "-").padStart(9);
};
for (const file of readdirSync(dist).filter((name) => /\.(wasm|js|css|html)$/.test(name)).sort()) {
  console.log(`${file.padEnd(36)} ${kilobytes(file)} ${kilobytes(`${file}.gz`)} gzip ${kilobytes(`${file}.br`)} Brotli`);
}
