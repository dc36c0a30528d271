// What training costs in the real browser, a variant at a time at the browser's sizes: samples a second on the CPU backend
// and on WebGPU, dispatches a step, and the time from page load to the first step. `npm run bench` after `make page`;
// `npm run bench -- gpu uie duia` measures only these.
import { host, launch, open, WEBGPU } from "./helpers.mjs";

const WINDOW_MS = 12_000;

// Counts dispatches inside the worker and says so every second; the page itself knows nothing of it.
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

async function measure(site, device, variants) {
  const browser = await launch(device === "gpu" ? WEBGPU : []);
  // Evaluation is kept out: it is not part of a step.
  const link = `preset=browser&rows=4000000&evaluate_every=100000&panel=16&warm_up=3&autoplay=on&device=${device}&variants=${variants}`;
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
  const reader = await open(browser, site, link, { prepare: before });
  await reader.steps(1);
  const first = Date.now() - begun;
  await reader.steps(device === "gpu" ? 8 : 30);
  const [step, count, time] = [await reader.step(), dispatches, Date.now()];
  await reader.page.waitForTimeout(WINDOW_MS * (device === "gpu" ? 3 : 1));
  const [steps, counted, seconds] = [(await reader.step()) - step, dispatches - count, (Date.now() - time) / 1000];
  console.log(
    `${device} ${variants.padEnd(10)} ${(steps / seconds).toFixed(2).padStart(7)} steps/s ${String(Math.round((512 * steps) / seconds)).padStart(7)} samples/s` +
      `  first step after ${(first / 1000).toFixed(1)} s` + (device === "gpu" ? `  ${Math.round(counted / steps)} dispatches a step` : ""),
  );
  await browser.close();
}

const EVERY = ["ple", "ple-cl", "ple-tl", "ple-wide", "ple-long", "ple-towers", "uie-random", "uie-kmeans", "uie", "uie-upbe", "duia", "duia-items"];
const [device, ...chosen] = process.argv.slice(2);
const races = chosen.length > 0 ? chosen : [...EVERY, "uhse", "duia-long", "ple,uie"];
const site = await host();
for (const on of device ? [device] : ["cpu", "gpu"]) for (const variants of races) await measure(site, on, variants);
await site.close();
