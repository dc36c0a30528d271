// The page in Chinese: every text of the source has its translation and none is left over, the translations can be told apart, and
// nothing English is left on the page in any state. Whoever adds a language adds its row to LANGUAGES in assets/boot.js and here.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { SECOND, SMALL, WHOLE, faults, shots, staged } from "./helpers.mjs";
import { bare, entries, language, texts } from "./texts.mjs";

const LANGUAGES = { zh: /[\u4e00-\u9fff]/ };

/** What people read, beside the page's own files: what the core and the worker say to them. */
const SAID = new RegExp(
  "^(web/|assets/|index\\.html|src/replay/play\\.js|src/(variants|lesson|config|footprint|checkpoint|data|metrics/(collapse|divergence)|config/.*|data/(own.*|parquet/text|schema|sniff|protocol|sample|gather|blocks)|training/(error|device|comparison)|model/components/.*)\\.rs$)",
);
/** Texts that are not said on the page: names of the platform and of files, what only the terminal or a developer is told. */
const UNSAID = [
  /^(\[step, value, half of the interval\]|Escape|Arrow\w+|Esc|English|String|Option::is_none|Vec::is_empty|use strict|TimeoutError|file:|Starting|WebGPU|Vulkan|Metal|OpenGL|DUIA u\+i|System|\{\} [KMG]B|600 \{size\}px .*|system-ui, sans-serif|duia (sample|train --weights-out)|unrar x|tar -xf)$/,
  // What a crash is known by, what a file is known by, what a query asks.
  /^(out of memory|memory access|Invalid array|Rar!.*|version https:.*|outs:.*|Obj.*|SQLite format.*|<!doctype html|\(prefers-.*|\(forced-.*|#article .*)$/,
  // The terminal's.
  /CUDA|libcuda|NVIDIA|The processes cannot|Start all of them|--model\b|^the checkpoint |checkpoint\.?$|checkpoint is there|cannot be exported|software one|is not of the form|`\{\w+\}` is (none of|given twice)|Give it by its name|no server does|sum \{sum\}/,
  // A replay's classes, and what a key is not for.
  /^(member (low|high)|centre unused|noopener noreferrer|select, summary, .*)$/,
  // A developer's.
  /^(the number of steps|training has \{\} batches|the test has \{\} batches|numbers and vectors have a form in postcard)$/,
];
const isText = ({ text, before }) =>
  (/[A-Za-z]{2,}\s+\S|\S\s+[A-Za-z]{2,}/.test(text) || /^\s*[A-Z][a-z]/.test(text) || /[a-z]{3,}[.:,…]$/.test(text.trim())) &&
  !/class=(format!\()?$/.test(before) &&
  !/if at > 0.5 \* width \{ $/.test(before) &&
  !UNSAID.some((unsaid) => unsaid.test(text));

const holes = (text) => [...text.matchAll(/\{(\w*)!?\}/g)].map(([, name]) => (/^\d+$/.test(name) ? "" : name)).sort();
/** A text with a mark in the place of each hole. */
const marked = (text) => {
  const marks = new Map();
  let count = 0;
  const mark = (name) => {
    if (name === "" || !marks.has(name)) marks.set(name === "" ? `${marks.size}` : name, String.fromCodePoint(0x2460 + count++));
    return String.fromCodePoint(0x2460 + count - 1);
  };
  return text.replace(/\{(\w*)\}/g, (_, name) => mark(name));
};

for (const [code, own] of Object.entries(LANGUAGES)) {
  describe(`the texts in ${code}`, async () => {
    const [all, said, { translator }] = [await texts(), await entries(code), await language()];
    const keys = new Set(Object.keys(said).map(bare));

    test("every text that people read has its translation", () => {
      const missing = [];
      for (const [file, found] of all) {
        if (!SAID.test(file)) continue;
        for (const text of found) if (isText(text) && !keys.has(bare(text.text))) missing.push(`${file}: ${text.text}`);
      }
      assert.deepEqual(missing, [], `assets/${code}.json lacks these`);
    });

    test("every translation is of a text in the source", () => {
      const known = new Set([...all.values()].flat().map(({ text }) => bare(text)));
      assert.deepEqual(Object.keys(said).filter((key) => !known.has(bare(key))), [], "nobody says these any more");
    });

    test("both sides have the same holes, and the translation is in its language", () => {
      for (const [english, translated] of Object.entries(said)) {
        assert.deepEqual(holes(translated), holes(english), english);
        const isSentence = /[A-Za-z]{2,} [a-z]{2,}/.test(translated);
        assert.ok(own.test(translated) || !isSentence, `${english}: ${translated}`);
      }
    });

    test("each text is taken for itself and for no other", () => {
      const say = translator(said);
      for (const [english, translated] of Object.entries(said)) {
        if (holes(english).length === 0) assert.equal(say(english), translated);
      }
      const shapes = new Map();
      for (const [english, translated] of Object.entries(said)) {
        const shape = english.replace(/(\{\w*\})+/g, "{}");
        const meaning = translated.replace(/\{\w*!?\}/g, "{}");
        if (shapes.has(shape)) assert.equal(meaning, shapes.get(shape), `two entries look like "${shape}"`);
        shapes.set(shape, meaning);
      }
      // With figures in its holes a text comes out as its own translation, whatever else there is.
      for (const english of Object.keys(said).filter((key) => holes(key).length > 0 && !/\}\{/.test(key))) {
        const alone = translator({ [english]: said[english] });
        const filled = marked(english);
        assert.equal(say(filled), alone(filled), english);
      }
    });

    test("sentences in a row, figures and names come out right", () => {
      const say = translator(said);
      const untouched = ["+.015", "0.8436 ± 0.0394", "12:30", "", " "];
      for (const text of untouched) assert.equal(say(text), text);
      if (code !== "zh") return;
      assert.equal(
        say("DUIA minus PLE, on 187 positives of the probe set at step 150, 95 % interval −.007 to +.007. With so few rows only a difference beyond +.007 can be told from chance."),
        "DUIA 减 PLE，第 150 步抽测集的 187 个正样本，95% 置信区间 −.007 至 +.007。数据这么少，只有超过 +.007 的差异才能与偶然区分。",
      );
      assert.equal(say("Hit rate by step: centres 100 %, children 80 %"), "命中率（按步）：中心 100 %，子中心 80 %");
      assert.equal(say("PLE, told groups, low"), "PLE，已知群组，低活");
      assert.equal(say("Item clustering loss, PLE, told groups"), "物品聚类损失，PLE，已知群组");
      assert.equal(say("21 % are of planted group 2. Pinned: press it again to let go."), "21% 属于预设群组 2。已固定：再按一次取消。");
      assert.equal(say("User 1977, at step 140: as they are."), "用户 1977，第 140 步：现状。");
      assert.equal(say(", child 2 with 18 more of the users just seen. They are given what its members have in common."), "，子中心 2（刚看到的用户中另有 18 个在此）。他们得到簇内成员的共性。");
      assert.equal(say("seed = x cannot be used: it must be a whole number from 0 to 9. Instead, 7 is used."), "seed = x 不可用：必须是 0 到 9 的整数。改用 7。");
      // What is not known stays as it was, all of it.
      assert.equal(say("Nobody wrote such a sentence."), "Nobody wrote such a sentence.");
    });
  });
}

/** Words of Latin letters that Chinese readers read: names of models, of the platform and of files, and symbols of formulas. */
const NAMES =
  /\b(PLE|DUIA|UIE|UPBE|UHSE|GHCA|G?AUC|NMI|POSO|CL|TL|Dai|CPU|GPU|WebGPU|burn-flex|llvmpipe|lavapipe|CSV|JSON|SVG|PNG|SIMD|WebAssembly|HTML|UTC|Adam|Home|End|Enter|Esc|arXiv|gzip|dropout|argmax|cos|mean|v_user|v_item|b_user|id|k-means|Parquet|docs\/\w+|MB|KB|GB|English|duia|safetensors|view|cart|buy)\b/g;

/** What of the page is in Latin letters and not such a name: each text, or an attribute that is read aloud. */
const foreign = (page) =>
  page.evaluate((names) => {
    const isName = new RegExp(names, "g");
    const out = new Set();
    const look = (text, where) => {
      // A notice names keys of the link.
      const isNotice = where === "" && walker.currentNode.parentElement.closest("[data-testid=notice] li");
      // In brackets a library says what it found.
      const rest = text.replace(/（header too large）|`[^`]*`|“\S{0,24}”|\b\w+ ?= ?\S+|\S+\.\w{2,}\b|\b\w+_\w+\b/g, "").replace(isName, "");
      if ((isNotice ? /[A-Za-z]{2,} [A-Za-z]{2,}/ : /[A-Za-z]{2,}/).test(rest)) out.add(where + text.trim().replace(/\s+/g, " "));
    };
    const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) {
        if (!node.parentElement.closest("script, style, noscript, math, code:not(.banner code), kbd, cite, [translate=no], [lang=en]")) look(node.data, "");
      } else {
        for (const name of ["title", "aria-label", "aria-valuetext", "aria-roledescription", "placeholder"]) {
          if (node.hasAttribute(name)) look(node.getAttribute(name), `${name}: `);
        }
      }
    }
    return [...out];
  }, NAMES.source);

describe("the page in Chinese", { timeout: WHOLE }, () => {
  const stage = staged();
  const RUN = `${SMALL}&seed=7&sample=off&device=cpu`;
  const at = (hash, options = {}) => stage.open(`${RUN}&lang=zh&${hash}`, options);
  const isChinese = (reader) => reader.until("Chinese", async () => (await reader.page.title()).includes("现场"));

  const tables = (reader) => reader.page.locator("details").evaluateAll((all) => all.forEach((details) => (details.open = true)));
  const FILE = ["user_id,item_id,cat,action,ts"];
  for (let row = 0; row < 40; row += 1) FILE.push(`u${row % 7},i${row % 11},c${row % 3},${["view", "buy", "wish"][row % 3]},${1511544070 + 60 * row}`);

  /** What is wrong with the page as it stands, a line each. */
  const wrong = async (reader, state) => {
    // A translation comes with the text, before a frame is painted: nobody waits for it.
    const english = await foreign(reader.page);
    const wide = await reader.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    const all = [...english, ...(wide > 0 ? [`the page is ${wide} px wider than the window`] : []), ...(await faults(reader.page))];
    return all.map((line) => `${state}: ${line}`);
  };

  /** States of the page, each reached from the one before; what is wrong on the way to one. */
  const STATES = {
    paused: async (reader) => reader.phase("已暂停"),
    "at the first steps": async (reader) => {
      await reader.press("step");
      await reader.until("a step", async () => (await reader.step()) === 1);
    },
    "with a verdict": async (reader) => {
      await reader.playBriskly();
      await reader.until("a verdict", async () => /抽测集/.test(await reader.text("lift-low")));
      // It waits: looking at everything takes longer than the run.
      await reader.press("play");
    },
    models: async (reader) => reader.press("models"),
    help: async (reader) => {
      await reader.page.keyboard.press("Escape");
      await reader.press("help-button");
      await reader.part("help").waitFor({ state: "visible" });
    },
    "every table": async (reader) => {
      await reader.page.keyboard.press("Escape");
      await tables(reader);
      await reader.page.locator(".scroll").nth(3).waitFor();
    },
    "a centre's tip": async (reader) => {
      await reader.until("centres", async () => {
        await reader.part("field").focus();
        await reader.page.keyboard.press("Home");
        return /^中心 \d+：/.test(await reader.text("field-tip"));
      });
      await reader.page.keyboard.press("Enter");
    },
    items: async (reader) => {
      await reader.press("show-items");
      await reader.page.waitForTimeout(SECOND);
    },
    "what if": async (reader) => {
      await reader.press("add-1");
      await reader.until("a change", async () => /假如/.test(await reader.text("what-if")));
    },
    "every block": async (reader) => {
      const left = [];
      for (let block = 0; block < 9; block += 1) {
        await reader.press(`block-${block}`);
        left.push(...(await foreign(reader.page)));
      }
      return left;
    },
    "a look back": async (reader) => {
      await reader.part("look-back").fill("1");
      await reader.press("live");
    },
    "a file of rows": async (reader) => {
      await reader.part("own-file").setInputFiles({ name: "shop.csv", mimeType: "text/csv", buffer: Buffer.from(FILE.join("\n")) });
      await reader.part("own-rows").waitFor();
      const left = [];
      for (const kind of ["labels", "nothing", "behaviour"]) {
        await reader.part("own-says").selectOption(kind);
        await reader.page.waitForTimeout(0.3 * SECOND);
        left.push(...(await foreign(reader.page)));
      }
      await reader.part("own-user").selectOption("");
      return left;
    },
    "another kind of file": async (reader) => {
      const page = Buffer.from("<!doctype html><title>Sign in</title>");
      await reader.part("own-file").setInputFiles({ name: "rows.csv", mimeType: "text/csv", buffer: page });
      await reader.until("a refusal", async () => /网页/.test(await reader.text("own-problem")));
      await reader.press("own-forget");
    },
    finished: async (reader) => {
      await reader.press("finish");
      await reader.until("the final verdict", async () => /终测/.test(await reader.text("lift-low")));
    },
    "a kept chart": async (reader) => {
      await reader.press("save-csv");
      await reader.until("a word", async () => /下载/.test(await reader.text("kept")));
    },
    "a branch": async (reader) => {
      await reader.until("a mark", () => reader.part("branch").isEnabled());
      await reader.press("branch");
      await reader.until("the branch", async () => (await reader.part("branched").count()) > 0 && /步分支。改一项/.test(await reader.text("branched")));
    },
    "bad weights": async (reader) => {
      await reader.press("reset");
      await reader.until("a run", async () => /已暂停|训练中/.test(await reader.text("phase")));
      await reader.press("models");
      await reader.part("weights").setInputFiles({ name: "notes.safetensors", mimeType: "application/octet-stream", buffer: Buffer.from("no weights") });
      await reader.until("a refusal", async () => (await reader.part("refused").count()) > 0);
      await reader.page.keyboard.press("Escape");
    },
  };

  for (const width of [1280, 768, 320]) {
    test(`nothing English is left in any state, nothing is wider than the window, axe finds nothing, at ${width}`, async () => {
      const look = { viewport: { width, height: 800 } };
      const reader = await at("autoplay=off&variants=ple,uie,duia,ple-group&nonsense=1&seed=x&hide=nothing&watchdog=1", look);
      await isChinese(reader);
      const left = [];
      for (const [state, reach] of Object.entries(STATES)) {
        const onTheWay = await reach(reader);
        left.push(...(Array.isArray(onTheWay) ? onTheWay : []).map((line) => `${state}: ${line}`), ...(await wrong(reader, state)));
      }
      assert.deepEqual([...new Set(left)], []);
      assert.deepEqual(reader.wrong, []);
      await reader.close();
    });
  }

  test("a replay that was made in Chinese is read in it, without a network", async () => {
    const folder = await mkdtemp(join(tmpdir(), "duia-replay-zh-"));
    const file = join(folder, "duia-run.html");
    const reader = await at("variants=ple,duia,duia-items&autoplay=off");
    await reader.playBriskly();
    await reader.steps(60);
    await reader.press("finish");
    await reader.until("the final verdict", async () => /终测/.test(await reader.text("lift-low")));
    const [download] = await Promise.all([reader.page.waitForEvent("download"), reader.press("save-html")]);
    await download.saveAs(file);
    await reader.close();
    const context = await stage.browser.newContext({ offline: true, viewport: { width: 390, height: 800 } });
    const page = await context.newPage();
    const said = [];
    page.on("console", (message) => message.type() === "error" && said.push(message.text()));
    await page.goto(`file://${file}`);
    await page.getByTestId("play").filter({ hasText: "播放" }).waitFor();
    assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
    assert.match(await page.title(), /^录制的运行：PLE/);
    for (const box of await page.locator("summary").all()) await box.click();
    for (const place of ["0", "3", await page.getByTestId("scrubber").getAttribute("max")]) {
      await page.getByTestId("scrubber").fill(place);
      // What a scrub writes is translated before the next frame.
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
      assert.deepEqual(await foreign(page), [], `moment ${place}`);
    }
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the screen");
    if (shots) await page.screenshot({ path: join(shots, "replay-zh.png"), fullPage: true });
    assert.deepEqual(said, []);
    await context.close();
    await rm(folder, { recursive: true, force: true });
  });

  test("failures and lessons are told in Chinese", async () => {
    const failed = await at("learning_rate=1&embedding_std=10");
    assert.match(await failed.failure(), /发散/);
    assert.deepEqual(await foreign(failed.page), [], "failure");
    await failed.close();
    const asked = await at("lesson=window&step=2");
    await asked.part("lesson").waitFor();
    await asked.until("its Chinese", async () => /五十个行为/.test(await asked.text("lesson")));
    assert.deepEqual(await foreign(asked.page), [], "lesson");
    await asked.press("answer-more");
    await asked.steps(1);
    assert.deepEqual(await foreign(asked.page), [], "a lesson that runs");
    await asked.close();
    const unknown = await at("lesson=no-such-lesson&autoplay=off");
    await unknown.part("lesson-fault").waitFor();
    assert.match(await unknown.text("lesson-fault"), /无法打开课程 `no-such-lesson`/);
    assert.deepEqual(await foreign(unknown.page), [], "no lesson");
    await unknown.close();
  });

  test("a change of language keeps the run, its steps and the lesson, and English comes back whole", async () => {
    const reader = await stage.open(`${RUN}&lang=en`);
    const words = () => reader.page.evaluate(() => document.body.innerText.replace(/[\d.,:−+%]+/g, "#"));
    const step = await reader.plays();
    const workers = reader.page.workers();
    await reader.part("language").selectOption("zh");
    await isChinese(reader);
    assert.equal(await reader.page.locator("html").getAttribute("lang"), "zh-CN");
    assert.match(reader.page.url(), /lang=zh/);
    assert.ok((await reader.step()) >= step, "no step is lost");
    await reader.until("it trains on", async () => (await reader.step()) > step || /^已结束/.test(await reader.text("phase")));
    assert.deepEqual(reader.page.workers(), workers, "the same worker");
    await reader.press("lesson-collapse");
    await reader.until("a lesson", async () => /最长的中心/.test(await reader.text("lesson")));
    await reader.part("language").selectOption("en");
    await reader.until("the lesson in English", async () => /longest centre/.test(await reader.text("lesson")));
    assert.equal(await reader.page.locator("html").getAttribute("lang"), "en");
    assert.doesNotMatch((await words()).replaceAll("中文", ""), /[\u4e00-\u9fff]/);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("who prefers Chinese is greeted in it, and a link counts more", async () => {
    const greeted = await stage.open(`${RUN}&autoplay=off`, { locale: "zh-CN" });
    await isChinese(greeted);
    assert.equal(await greeted.part("language").inputValue(), "zh");
    assert.doesNotMatch(greeted.page.url(), /lang=/, "what the browser prefers is not in the link");
    await greeted.close();
    const linked = await stage.open(`${RUN}&autoplay=off&lang=en`, { locale: "zh-CN" });
    await linked.phase("Paused");
    assert.equal(await linked.page.title(), "DUIA live: does it help to know whom a quiet user resembles?");
    await linked.close();
    const other = await stage.open(`${RUN}&autoplay=off`, { locale: "fr-FR" });
    await other.phase("Paused");
    await other.close();
  });

  test("where the texts do not arrive the page stays English and says so", async () => {
    const prepare = (page) => page.route("**/assets/zh.json", (route) => route.fulfill({ status: 404, body: "none" }));
    const reader = await at("autoplay=off", { prepare });
    await reader.phase("Paused");
    await reader.until("a notice", async () => (await reader.part("notice").count()) > 0);
    assert.match(await reader.text("notice"), /lang = zh cannot be used: its texts did not arrive/);
    assert.equal(await reader.part("language").inputValue(), "en");
    await reader.close();
  });
});
