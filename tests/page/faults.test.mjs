// Nothing hangs, nothing stays silent: what careless hosts, odd browsers and quick fingers do to the page.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  NEVER, PATIENCE, SECOND, SOON, UNENDED, WEBGPU, WHOLE, askTerminal, builtFile, builtPage, hasTerminal, host, inWorker, open, seeded, staged,
} from "./helpers.mjs";

const SHORT = "version=1&preset=browser&seed=7&evaluate_every=10&probe_set=256&sample=off";

const stage = staged();

/** The page on a host that answers as it likes. */
async function onHost(answer, use, hash = SHORT) {
  const own = await host("/", answer);
  const reader = await open(stage.browser, own, hash);
  try {
    await use(reader);
  } finally {
    await reader.close();
    await own.close();
  }
}

async function onPage(hash, use, options) {
  const reader = await stage.open(hash, options);
  try {
    await use(reader);
  } finally {
    await reader.close();
  }
}

/** Waits for such a sentence in the place of the start. On a slow machine it first says that it is late. */
const boot = (reader, words) =>
  reader.until(`a start that says ${words}`, async () => words.test((await reader.page.locator("#boot").allInnerTexts()).join()), SOON);

const type = (pattern, kind) => (file, reply) => {
  if (pattern.test(file)) reply.headers = kind ? { "content-type": kind } : {};
};
const body = (pattern, change) => (file, reply) => {
  if (pattern.test(file)) reply.body = change(reply.body);
};
const header = (policy) => (_, reply) => {
  reply.headers["content-security-policy"] = policy;
};

describe("quick fingers", { timeout: WHOLE }, () => {
  for (const seed of [1, 2, 3]) {
    test(`thirty resets at random moments end in a run that plays (seed ${seed})`, () =>
      onPage(SHORT, async (reader) => {
        await reader.steps(1);
        const random = seeded(seed);
        for (let reset = 0; reset < 30; reset += 1) {
          if (random() < 0.5) await reader.press("reset");
          else await reader.page.keyboard.press("r");
          await reader.page.waitForTimeout(400 * random());
        }
        await reader.plays();
        assert.deepEqual(reader.wrong, []);
      }));
  }

  test("a double click on reset", () =>
    onPage(SHORT, async (reader) => {
      await reader.steps(3);
      await reader.part("reset").dblclick();
      await reader.plays();
    }));

  test("arrow keys on the length of the run", () =>
    onPage(SHORT, async (reader) => {
      await reader.steps(3);
      await reader.part("preset").focus();
      for (const key of ["ArrowDown", "ArrowUp", "ArrowDown", "ArrowUp"]) await reader.page.keyboard.press(key);
      await reader.plays();
    }));

  test("resets while the trainer's program is still on its way", () =>
    onPage(SHORT, async (reader) => {
      await reader.part("reset").waitFor();
      for (let reset = 0; reset < 4; reset += 1) await reader.press("reset");
      await reader.plays();
    }));

  test("a paused run stays paused, however often it is reset", () =>
    onPage(SHORT, async (reader) => {
      await reader.steps(3);
      await reader.press("play");
      for (let reset = 0; reset < 3; reset += 1) await reader.press("reset");
      await reader.phase("Paused");
      await reader.page.waitForTimeout(2 * SECOND);
      assert.deepEqual([await reader.text("phase"), await reader.step()], ["Paused", 0]);
    }));

  test("two presses of Space are none", () =>
    onPage(SHORT, async (reader) => {
      await reader.steps(3);
      for (let round = 0; round < 4; round += 1) await reader.page.keyboard.press("Space");
      await reader.plays();
      for (let round = 0; round < 5; round += 1) await reader.page.keyboard.press("Space");
      await reader.phase("Paused");
    }));

  test("a reset does not wait for the test of the run before", () =>
    onPage("preset=long&sample=off&users=2000&items=8400&categories=200&evaluate_every=100000", async (reader) => {
      await reader.steps(2);
      await reader.press("finish");
      await reader.phase("Scoring the whole test set");
      // It was playing, so the new run plays by itself.
      await reader.press("reset");
      await reader.plays();
    }));
});

describe("the content security policy", { timeout: WHOLE }, () => {
  test("nothing in the built page is inline, and it has the strictest policy", async () => {
    const text = await builtPage();
    assert.doesNotMatch(text, /<script(?![^>]*\ssrc=)/i);
    assert.doesNotMatch(text, /<style|\sstyle=|\son[a-z]+=/i);
    const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/i.exec(text)?.[1] ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /script-src 'self' 'wasm-unsafe-eval'/);
    assert.doesNotMatch(policy, /unsafe-inline|'unsafe-eval'|\*/);
    assert.doesNotMatch(text, /\{\{|__TRUNK/i);
  });

  test("it trains under a host's strict policy", () =>
    onHost(header("default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; worker-src 'self'"), async (reader) => {
      await reader.plays();
      await reader.page.mouse.move(300, 500);
      await reader.part("models").click();
      assert.deepEqual(reader.wrong, []);
    }));

  test("a policy without WebAssembly is named, with what it must allow", () =>
    onHost(header("script-src 'self'"), async (reader) => {
      await boot(reader, /policy forbids WebAssembly: it must allow 'wasm-unsafe-eval' in script-src/);
    }));

  test("a policy without workers is named", () =>
    onHost(header("worker-src 'none'"), async (reader) => {
      await reader.failure(/policy \(worker-src\) stops worker_loader\.js: it must allow 'self'/, SOON);
    }));

  test("even where no script may run there is a sentence", () =>
    onHost(header("script-src 'none'"), async (reader) => {
      const late = reader.page.locator(".late");
      const [isVisible, seconds] = await late.evaluate((late) => [late.checkVisibility({ visibilityProperty: true }), performance.now() / 1_000]);
      assert.ok(!isVisible || seconds > 8, `not before its time: after ${seconds} s`);
      await late.waitFor({ state: "visible", timeout: SOON });
      assert.match(await late.innerText(), /first script has not run/);
    }));
});

describe("files", { timeout: WHOLE }, () => {
  test("a program that never arrives is said within seconds", () =>
    onHost(body(/^page-.*\.wasm$/, () => NEVER), async (reader) => {
      await boot(reader, /still starting: after 5 s page-.*_bg\.wasm has not arrived/);
      await reader.page.getByRole("button", { name: "Reload" }).waitFor();
    }));

  test("a trainer that never arrives is said within seconds", () =>
    onHost(body(/^worker_bg\.wasm$/, () => NEVER), async (reader) => {
      await reader.failure(/program has not arrived for \d+ s/, SOON);
      await reader.part("reload").waitFor();
    }));

  for (const kind of ["application/octet-stream", null]) {
    test(`WebAssembly sent ${kind ? `as ${kind}` : "without a type"} trains`, () =>
      onHost(type(/\.wasm$/, kind), (reader) => reader.plays()));
  }

  test("scripts sent as text are named, with the type that they need", () =>
    onHost(type(/\.js$/, "text/plain"), async (reader) => {
      await boot(reader, /the host sends page-\w+\.js as "text\/plain" and must send it as "text\/javascript"/);
    }));

  test("so is a trainer's", () =>
    onHost(type(/^worker.*\.js$/, "text/plain"), async (reader) => {
      await reader.failure(/the host sends worker_loader\.js as "text\/plain" and must send it as "text\/javascript"/, SOON);
    }));

  test("a script that was changed is said to be", () =>
    onHost(body(/^page-.*\.js$/, (bytes) => Buffer.concat([bytes, Buffer.from("\n")])), async (reader) => {
      await boot(reader, /page-\w+\.js arrived changed or cut \(\d+ bytes\)/);
    }));

  test("a program that was cut is said to be", () =>
    onHost(body(/^page-.*\.wasm$/, (bytes) => bytes.subarray(0, -1_000)), async (reader) => {
      await boot(reader, /page-\w+_bg\.wasm arrived changed or cut/);
    }));

  test("so is a trainer's", () =>
    onHost(body(/^worker_bg\.wasm$/, (bytes) => bytes.subarray(0, -1_000)), async (reader) => {
      await reader.failure(/worker_bg\.wasm arrived changed or cut/, SOON);
    }));

  test("a missing file is named, and one page of HTML for all is seen through", async () => {
    const missing = (file, reply) => {
      if (file === "worker_bg.wasm") [reply.status, reply.body] = [404, ""];
    };
    await onHost(missing, (reader) => reader.failure(/the host answers 404 for worker_bg\.wasm/, SOON));
    const page = (file, reply) => {
      if (file === "worker.js") [reply.headers, reply.body] = [{ "content-type": "text/html" }, "<!doctype html>"];
    };
    await onHost(page, (reader) => reader.failure(/a page of HTML in the place of worker\.js/, SOON));
  });

  test("missing WebAssembly is said", async () => {
    const context = await stage.browser.newContext();
    await context.addInitScript(() => delete globalThis.WebAssembly);
    const page = await context.newPage();
    await page.goto(stage.site.url);
    await page.getByRole("alert").filter({ hasText: "it needs WebAssembly, which is missing or switched off here" }).waitFor({ timeout: SOON });
    await context.close();
  });

  test("opened as a file it says that a server is needed", async () => {
    const page = await stage.browser.newPage();
    await page.goto(builtFile());
    await page.getByRole("alert").filter({ hasText: "opened as a file" }).waitFor({ timeout: SOON });
    await page.close();
  });

  test("a plain frame trains, a sandboxed one says why it cannot and offers the page alone", async () => {
    const framed = async (attributes) => {
      const around = await host("/", (file, reply) => {
        [reply.status, reply.headers] = [200, { "content-type": "text/html" }];
        reply.body = `<!doctype html><iframe ${attributes} width="1200" height="700" src="${stage.site.url}#${SHORT}"></iframe>`;
      });
      const page = await stage.browser.newPage();
      await page.goto(around.url);
      return { frame: page.frameLocator("iframe"), close: () => page.close().then(around.close) };
    };
    const plain = await framed("");
    await plain.frame.getByTestId("phase").filter({ hasText: "Training" }).waitFor({ timeout: PATIENCE });
    await plain.close();
    const sandboxed = await framed('sandbox="allow-scripts"');
    await sandboxed.frame.getByRole("alert").filter({ hasText: "sandboxed frame" }).waitFor({ timeout: SOON });
    assert.equal(await sandboxed.frame.getByRole("link", { name: /Open it alone/ }).getAttribute("target"), "_blank");
    await sandboxed.close();
  });
});

describe("the sample of rows beside the page", { timeout: WHOLE }, () => {
  const LINK = SHORT.replace("&sample=off", "");
  const bad = {
    damaged: [Buffer.from("these are no rows"), /another kind of file/],
    empty: [Buffer.alloc(0), /an empty file/],
    "never sent": [NEVER, /nothing for 8 s/],
    "never ended": [UNENDED, /nothing for 8 s/],
  };
  for (const [name, [bytes, seen]] of Object.entries(bad)) {
    test(`${name}: the synthetic stream trains, and why is said`, () =>
      onHost((file, reply) => {
        if (file === "assets/sample.bin") Object.assign(reply, { status: 200, headers: { "content-type": "application/octet-stream" }, body: bytes });
      }, async (reader) => {
        await reader.plays();
        assert.match(await reader.text("refused"), /cannot be used[^]*synthetic stream trains in its place/);
        assert.match(await reader.text("refused"), seen);
        assert.match(await reader.text("data-badge"), /Synthetic/);
      }, LINK));
  }

  test("a host in trouble is no reason to stop either", () =>
    onHost((file, reply) => {
      if (file === "assets/sample.bin") reply.status = 500;
    }, async (reader) => {
      await reader.plays();
      assert.match(await reader.text("refused"), /status 500/);
    }, LINK));
});

describe("the device", { timeout: WHOLE }, () => {
  const withGpu = staged({ flags: WEBGPU });
  const silent = {
    adapter: "GPU.prototype.requestAdapter = () => new Promise(() => {});",
    device: "GPUAdapter.prototype.requestDevice = () => new Promise(() => {});",
  };
  for (const [name, patch] of Object.entries(silent)) {
    test(`a graphics ${name} that never answers gives way to the CPU, and the card says so`, async () => {
      const reader = await withGpu.open(SHORT, { prepare: inWorker(patch) });
      await reader.plays();
      await reader.part("device-badge").hover();
      assert.match(await reader.text("device-card"), /has not answered for 10 s\. So the CPU trains/);
      await reader.close();
    });
  }

  test("a graphics adapter that cannot time its kernels gives way to the CPU, and the card says so", async () => {
    const untimed = `
      const { get } = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, "features");
      const without = (features) => new Set([...features].filter((name) => name !== "timestamp-query"));
      Object.defineProperty(GPUAdapter.prototype, "features", { get() { return without(get.call(this)); } });`;
    const reader = await withGpu.open(SHORT, { prepare: inWorker(untimed) });
    await reader.plays();
    await reader.part("device-badge").hover();
    assert.match(await reader.text("device-card"), /timestamp/);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("an adapter with the least limits agrees with the CPU and trains", async () => {
    const least = `
      const { get } = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, "limits");
      const low = { maxStorageBuffersPerShaderStage: 8, maxComputeWorkgroupStorageSize: 16384, maxComputeInvocationsPerWorkgroup: 256,
        maxStorageBufferBindingSize: 134217728, maxBufferSize: 268435456 };
      const limits = (all) => new Proxy(all, { get: (_, name) => low[name] ?? Reflect.get(all, name, all) });
      Object.defineProperty(GPUAdapter.prototype, "limits", { get() { return limits(get.call(this)); } });`;
    const reader = await withGpu.open(`${SHORT}&device=gpu&watchdog=120`, { prepare: inWorker(least) });
    await reader.plays();
    assert.match(await reader.text("device-badge"), /WebGPU/);
    await reader.part("device-badge").hover();
    assert.match(await reader.text("device-card"), /Self-test/);
    await reader.close();
  });

  test("a GPU that is asked for and is not there: one press trains on the CPU", () =>
    onPage(`${SHORT}&device=gpu`, async (reader) => {
      await reader.failure();
      await reader.press("use-cpu");
      await reader.plays();
      await reader.link(/device=cpu/);
      assert.equal(await reader.part("failure").count(), 0);
    }));

  test("asked for after a run on the CPU, it still offers the CPU", () =>
    onPage(SHORT, async (reader) => {
      await reader.plays();
      await reader.press("device-badge");
      await reader.part("device").selectOption("gpu");
      await reader.failure();
      // The card lies over the button.
      await reader.page.keyboard.press("Escape");
      await reader.press("use-cpu");
      await reader.plays();
      await reader.link(/device=cpu/);
    }));

  test("it is a control on the page, and Back takes the change back", () =>
    onPage(SHORT, async (reader) => {
      await reader.plays();
      await reader.press("device-badge");
      await reader.part("device").selectOption("cpu");
      await reader.plays();
      await reader.link(/device=cpu/);
      await reader.until("the card", async () => /The CPU was asked for/.test(await reader.text("device-card")));
      await reader.page.goBack();
      await reader.until("the link of before", async () => !/device=cpu/.test(reader.page.url()));
      await reader.plays();
      assert.equal(await reader.part("device").inputValue(), "auto");
    }));
});

describe("no dead ends", { timeout: WHOLE }, () => {
  const end = async (reader) => {
    const [worker] = reader.page.workers();
    // Ends the worker from inside, in silence, as a browser short of memory would.
    await worker.evaluate(() => self.close()).catch(() => {});
  };
  const withoutLocks = { before: () => Object.defineProperty(Navigator.prototype, "locks", { value: undefined }) };

  test("a trainer that the browser ends is said at once", () =>
    onPage(SHORT, async (reader) => {
      await reader.plays();
      await end(reader);
      await reader.failure(/ended by the browser/, SOON);
      await reader.press("restart");
      await reader.plays();
    }));

  test("a paused one too, and a reset gives a new one", () =>
    onPage(SHORT, async (reader) => {
      await reader.plays();
      await reader.press("play");
      await reader.phase("Paused");
      await end(reader);
      await reader.failure(/ended by the browser/, SOON);
      await reader.press("reset");
      await reader.phase("Paused");
      await reader.press("play");
      await reader.plays();
    }));

  test("without locks, a reset of a dead trainer is answered within seconds", () =>
    onPage(`${SHORT}&watchdog=5`, async (reader) => {
      await reader.plays();
      await end(reader);
      await reader.press("reset");
      await reader.failure(/not answered for \d+ s/, SOON);
      await reader.press("restart");
      await reader.plays();
    }, withoutLocks));

  test("the trainer's own words about its end stay", () =>
    onPage(SHORT, async (reader) => {
      await reader.failure(/met an error that it did not expect/);
      await reader.page.waitForTimeout(2 * SECOND);
      assert.match(await reader.text("failure"), /met an error that it did not expect/);
      assert.match(await reader.part("failure").locator("code").textContent(), /`Performance` object not found/);
    }, { prepare: inWorker("Object.defineProperty(self, 'performance', { value: undefined });") }));

  test("settings that contradict each other: one press goes back to the defaults", () =>
    onPage("centres=48&warm_up=999999&sample=off", async (reader) => {
      await reader.failure();
      await reader.press("back-to-defaults");
      await reader.plays();
      assert.doesNotMatch(reader.page.url(), /centres|warm_up/);
    }));

  test("the cards with the controls stay in the window, and open without a pointer", () =>
    onPage(`${SHORT}&autoplay=off`, async (reader) => {
      await reader.phase("Paused");
      for (const width of [320, 390, 700, 1000, 1280]) {
        await reader.page.setViewportSize({ width, height: 800 });
        for (const name of ["device", "data"]) {
          await reader.part(`${name}-badge`).focus();
          await reader.page.keyboard.press("Enter");
          const box = await reader.part(`${name}-card`).boundingBox();
          assert.ok(box && box.x >= 0 && box.x + box.width <= width, `${name} at ${width} px: ${JSON.stringify(box)}`);
          await reader.page.keyboard.press("Escape");
          assert.ok(await reader.part(`${name}-card`).isHidden(), "Escape closes it");
        }
      }
    }));

  test("the defaults and the rows are controls on the page", () =>
    onPage(`${SHORT}&centres=64`, async (reader) => {
      await reader.plays();
      await reader.press("data-badge");
      await reader.part("data").selectOption("sample");
      await reader.until("the link", async () => !/sample=off/.test(reader.page.url()));
      await reader.plays();
      await reader.page.keyboard.press("Escape");
      await reader.press("defaults");
      await reader.until("the link", async () => !/centres=64/.test(reader.page.url()));
      await reader.plays();
      assert.ok(await reader.part("defaults").isDisabled(), "there is nothing to take back");
    }));
});

describe("links", { timeout: WHOLE }, () => {
  test("what stands after ? counts too, and what stands after # counts more", () =>
    onPage("?seed=11&centres=64&token=kept#seed=12&autoplay=off", async (reader) => {
      await reader.phase("Paused");
      assert.equal(await reader.part("seed").inputValue(), "12");
      assert.match(await reader.text("notice"), /seed stands in the link more than once/);
      await reader.part("seed").fill("13");
      await reader.part("seed").press("Enter");
      await reader.until("one link for all", async () => /\?token=kept#.*seed=13.*centres=64/.test(reader.page.url()));
    }));

  test("what others keep after ? is none of the page's business", () =>
    onPage("?token=kept#seed=12&autoplay=off", async (reader) => {
      await reader.phase("Paused");
      assert.equal(await reader.part("notice").count(), 0);
    }));

  test("good keys are used, each bad one is named with what it should be, and a long one does not break the page", () =>
    onPage(`seed=${"9".repeat(300)}&centrs=64&children=3&batch=7&tehme=dark&users=10`, async (reader) => {
      await reader.plays();
      const notice = await reader.text("notice");
      for (const word of ["seed = 999", "did you mean `centres`", "batch = 7", "an even number", "did you mean `theme`", "user_groups is 10"]) {
        assert.ok(notice.includes(word), `${word} in: ${notice}`);
      }
      assert.ok(!notice.includes("children"), notice);
      assert.ok(await reader.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "not wider than the window");
      await reader.page.setViewportSize({ width: 360, height: 700 });
      assert.ok(await reader.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "not on a phone either");
    }));

  for (const [name, link] of Object.entries({
    items: "sample=off&items=1000000000&categories=1000",
    users: "sample=off&users=100000000",
    rows: "sample=off&rows=10000000000",
    preset: "sample=off&preset=paper",
    batch: "sample=off&batch=65536&embedding=512",
  })) {
    test(`sizes that cannot fit are refused at once, in bytes, with a way back (${name})`, () =>
      onPage(link, async (reader) => {
        assert.doesNotMatch(await reader.failure(), /unreachable/);
        assert.match(await reader.part("failure").locator("code").textContent(), /needs about [\d.]+ [GT]B[^]*there are [\d.]+ GB/);
        await reader.press("back-to-defaults");
        await reader.plays();
      }));
  }

  test("the link that the terminal prints opens what it says", async (context) => {
    if (!(await hasTerminal())) return context.skip("the terminal's program is not built: `cargo build --release`");
    const printed = await askTerminal("config", "--set", "centres=64", "--seed", "11");
    const link = /[?#]version=\S+/.exec(printed)?.[0];
    assert.ok(link, `a link in: ${printed}`);
    await onPage(`${link}&autoplay=off`, async (reader) => {
      await reader.phase("Paused");
      assert.equal(await reader.part("seed").inputValue(), "11");
      assert.equal(await reader.part("notice").count(), 0);
      await reader.press("theme");
      await reader.until("its settings", async () => /seed=11.*centres=64/.test(reader.page.url()));
    });
  });

  test("Back takes back a change of the seed", () =>
    onPage(`${SHORT}&autoplay=off`, async (reader) => {
      await reader.phase("Paused");
      await reader.part("seed").fill("11");
      await reader.part("seed").press("Enter");
      await reader.until("the link", async () => /seed=11/.test(reader.page.url()));
      await reader.page.goBack();
      await reader.until("the seed of before", async () => (await reader.part("seed").inputValue()) === "7");
      await reader.phase("Paused");
    }));
});
