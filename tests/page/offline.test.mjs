// The page without its host after a first visit, and on a host that sends it packed.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { test } from "node:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { WHOLE, host, launch, open } from "./helpers.mjs";

const dist = process.env.DUIA_DIST ?? join(fileURLToPath(new URL(".", import.meta.url)), "../../dist");

/** The files of the build, without what lies packed beside them. */
async function files() {
  const entries = (await readdir(dist, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const all = entries.map((entry) => join(entry.parentPath, entry.name).slice(dist.length).replace(/^\//, ""));
  return all.filter((file) => !/\.(br|gz)$/.test(file));
}

test("what lies packed beside a file is that file, and much smaller", async () => {
  for (const file of ["index.html", "sw.js", "worker.js", "worker_bg.wasm", "table_bg.wasm", "assets/zh.json", "lessons/collapse.md"]) {
    const [bytes, br, gz] = await Promise.all(["", ".br", ".gz"].map((packed) => readFile(join(dist, file + packed))));
    assert.ok(bytes.equals(brotliDecompressSync(br)) && bytes.equals(gunzipSync(gz)), file);
    assert.ok(br.length < gz.length && gz.length < 0.7 * bytes.length, `${file}: ${bytes.length}, ${gz.length}, ${br.length} bytes`);
  }
});

test("on a host that sends what lies packed it trains", { timeout: WHOLE }, async () => {
  const sent = [];
  const site = await host("/", async (file, reply) => {
    const packed = await readFile(join(dist, `${file}.br`)).catch(() => undefined);
    if (!packed) return;
    sent.push(file);
    Object.assign(reply, { body: packed, headers: { ...reply.headers, "content-encoding": "br" } });
  });
  const browser = await launch();
  try {
    const reader = await open(browser, site, "device=cpu&sample=off&autoplay=off");
    await reader.phase("Paused");
    await reader.walk(1);
    assert.ok(sent.includes("index.html") && sent.includes("worker_bg.wasm"), `${sent}`);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  } finally {
    await browser.close();
    await site.close();
  }
});

test("the list of what is kept is that of the build", async () => {
  const script = await readFile(join(dist, "sw.js"), "utf8");
  const kept = JSON.parse(/const FILES = (\[[^\]]*?),?\s*\];/.exec(script)[1] + "]");
  const built = (await files()).filter((file) => !["sw.js", "assets/sample.bin"].includes(file));
  assert.deepEqual([...kept].sort(), built.sort());
  assert.ok(kept.includes("index.html") && kept.includes("worker_bg.wasm") && kept.includes("lessons/collapse.md"), `${kept}`);
});

test("after a first visit it trains and opens a lesson without its host, in a sub-folder too", { timeout: WHOLE }, async () => {
  const site = await host("/some/folder/");
  const browser = await launch();
  try {
    const reader = await open(browser, site, "device=cpu&sample=off&autoplay=off");
    await reader.phase("Paused");
    await reader.until("its files are kept", () =>
      reader.page.evaluate(async () => Boolean((await navigator.serviceWorker.getRegistration())?.active) && (await caches.keys()).length === 1),
    );
    assert.deepEqual(reader.wrong, []);
    await site.close();
    await reader.page.reload();
    await reader.phase("Paused");
    await reader.walk(2);
    await reader.press("lesson-collapse");
    await reader.until("the lesson", async () => (await reader.part("lesson").count()) > 0);
    await reader.close();
  } finally {
    await browser.close();
  }
});
