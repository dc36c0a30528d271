// The first thirty seconds of the page, as a person sees them on a laptop, for the README: `npm run film -- ../../docs/page.gif` after
// `make page`. A frame holds what changed since the one before it.
import { writeFile } from "node:fs/promises";
import gifenc from "gifenc";
import { PNG } from "pngjs";
import { host, launch, open } from "./helpers.mjs";

const SCREEN = { width: 1360, height: 1060 };
const SCALE = 0.75;
const SECONDS = 30;
const A_SECOND = 2;
const COLOURS = 127;

const { GIFEncoder, applyPalette, quantize } = gifenc;

/** Pictures of the page at equal times from its opening on. */
async function frames() {
  const site = await host("/");
  const browser = await launch();
  const reader = await open(browser, site, "sample=off", { viewport: SCREEN, deviceScaleFactor: SCALE });
  const begun = Date.now();
  const pictures = [];
  for (let n = 0; n < SECONDS * A_SECOND; n += 1) {
    await new Promise((due) => setTimeout(due, begun + (1000 * n) / A_SECOND - Date.now()));
    pictures.push(PNG.sync.read(await reader.page.screenshot()));
  }
  await browser.close();
  await site.close();
  return pictures;
}

/** One palette for all, of the first, the middle and the last picture: with a palette of its own each frame would be new as a whole. */
function encoded(pictures) {
  const some = [0, 0.5, 1].map((at) => pictures[Math.round(at * (pictures.length - 1))]);
  const palette = quantize(Buffer.concat(some.map((picture) => picture.data)), COLOURS);
  const unchanged = palette.push([0, 0, 0]) - 1;
  const gif = GIFEncoder();
  let before;
  for (const { data, width, height } of pictures) {
    const now = applyPalette(data, palette.slice(0, unchanged));
    const frame = before ? now.map((colour, at) => (colour === before[at] ? unchanged : colour)) : now;
    gif.writeFrame(frame, width, height, {
      palette: before ? undefined : palette,
      delay: 1000 / A_SECOND,
      transparent: before !== undefined,
      transparentIndex: unchanged,
      dispose: 1,
    });
    before = now;
  }
  gif.finish();
  return gif.bytes();
}

const file = process.argv[2] ?? "page.gif";
const bytes = encoded(await frames());
await writeFile(file, bytes);
console.log(`${file}: ${SECONDS} s, ${(bytes.length / 1e6).toFixed(1)} MB`);
