// What training costs in the real browser, a variant at a time: samples a second on the CPU backend and on WebGPU at the
// browser's sizes, with the time from page load to the first step; and dispatches a step, which sizes do not change, at small
// ones. `npm run bench` after `make page`; `npm run bench -- dispatches uie duia` measures only these (`cpu`, `gpu`, `dispatches`).
import { host, launch, open, WEBGPU } from "./helpers.mjs";

const EVERY = [
  "ple", "ple-newest", "ple-cl", "ple-tl", "ple-wide", "ple-long", "ple-shares", "ple-towers", "uie-random", "uie-kmeans", "uie", "uie-upbe",
  "duia", "duia-items", "uhse", "duia-shares", "ple-evidence", "duia-plus",
];
// Evaluation is kept out: it is not part of a step.
const LINK = "preset=browser&rows=4000000&evaluate_every=100000&probe_set=16&warm_up=3&autoplay=on";
const SMALL = "users=400&items=1600&categories=40&batch=64";

// Counts dispatches inside the worker and says so ten times a second; the page itself knows nothing of it.
const COUNTER = `
  let dispatches = 0;
  if (self.GPUComputePassEncoder) {
    for (const name of ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"]) {
      const original = GPUComputePassEncoder.prototype[name];
      GPUComputePassEncoder.prototype[name] = function (...sizes) { dispatches += 1; return original.apply(this, sizes); };
    }
  }
  setInterval(() => console.log("dispatches " + dispatches), 100);
`;

/** Steps a second after `warm` steps, over so many milliseconds; dispatches a step; milliseconds until the first step. */
async function measure(site, device, settings, warm, window) {
  const browser = await launch(device === "gpu" ? WEBGPU : []);
  const begun = Date.now();
  let dispatches = 0;
  const before = async (page) => {
    page.on("console", (message) => {
      const said = /^dispatches (\d+)/.exec(message.text());
      if (said) dispatches = Number(said[1]);
    });
    await page.route("**/worker_loader.js", async (route) => {
      const original = await (await route.fetch()).text();
      await route.fulfill({ contentType: "text/javascript", body: original + COUNTER });
    });
  };
  const reader = await open(browser, site, `${LINK}&device=${device}&${settings}`, { prepare: before });
  await reader.steps(1);
  const first = Date.now() - begun;
  await reader.steps(warm);
  const [step, count, time] = [await reader.step(), dispatches, Date.now()];
  await reader.page.waitForTimeout(window);
  const [steps, counted, seconds] = [(await reader.step()) - step, dispatches - count, (Date.now() - time) / 1000];
  await browser.close();
  return { rate: steps / seconds, dispatches: counted / steps, first };
}

async function speed(site, device, variants) {
  const gpu = device === "gpu";
  const { rate, first } = await measure(site, device, `variants=${variants}`, gpu ? 8 : 30, gpu ? 36_000 : 12_000);
  const figures = `${rate.toFixed(2).padStart(7)} steps/s ${String(Math.round(512 * rate)).padStart(7)} samples/s`;
  console.log(`${device} ${variants.padEnd(10)} ${figures}  first step after ${(first / 1000).toFixed(1)} s`);
}

async function dispatches(site, variants) {
  const { dispatches } = await measure(site, "gpu", `${SMALL}&variants=${variants}`, 20, 8_000);
  console.log(`gpu ${variants.padEnd(10)} ${Math.round(dispatches)} dispatches a step`);
}

const WHAT = {
  cpu: [[...EVERY, "ple,uie"], (site, variants) => speed(site, "cpu", variants)],
  gpu: [["ple", "duia"], (site, variants) => speed(site, "gpu", variants)],
  dispatches: [EVERY, dispatches],
};
const [what, ...chosen] = process.argv.slice(2);
const site = await host();
for (const name of what ? [what] : Object.keys(WHAT)) {
  const [all, run] = WHAT[name];
  for (const variants of chosen.length > 0 ? chosen : all) await run(site, variants);
}
await site.close();
