// Packs a built page: node web/pack.mjs DIST leaves FILE.br and FILE.gz beside each file, for hosts that send those (README.md says how to
// tell them). Brotli makes the trainer a third smaller than gzip does, and takes a minute for it, which no host takes at each request.

import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

const PACKED = /\.(bin|css|html|js|json|md|svg|wasm|webmanifest)$/;
/** Smaller files travel in one packet as they are. */
const LEAST = 1_024;

async function pack(path) {
  const bytes = await readFile(path);
  if (bytes.length < LEAST) return;
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  await Promise.all([
    promisify(brotliCompress)(bytes, { params }).then((packed) => writeFile(`${path}.br`, packed)),
    promisify(gzip)(bytes, { level: constants.Z_BEST_COMPRESSION }).then((packed) => writeFile(`${path}.gz`, packed)),
  ]);
}

const [dist] = process.argv.slice(2);
if (!dist) throw new Error("usage: node web/pack.mjs DIST");
const entries = await readdir(dist, { recursive: true, withFileTypes: true });
const files = entries.filter((entry) => entry.isFile() && PACKED.test(entry.name)).map((entry) => join(entry.parentPath, entry.name));
await Promise.all(files.map(pack));
