// Browsers that Playwright cannot drive as Debian builds them: Firefox (WebDriver BiDi, by Puppeteer) and WebKitGTK (classic
// WebDriver). Both give the same few handles: `evaluate(function, ...arguments)`, `click(selector)`, `picture()`, `wrong`, `close()`.
//
// DUIA_FIREFOX  Firefox's program (default: Debian's firefox-esr)
// DUIA_WEBKIT   WebKit's driver (default: Debian's webkit2gtk-driver), under xvfb, for its window needs a display

import { spawn } from "node:child_process";
import { access } from "node:fs/promises";
import { createServer } from "node:net";
import puppeteer from "puppeteer-core";
import { PATIENCE, Patient, SECOND } from "./helpers.mjs";

const FIREFOX = process.env.DUIA_FIREFOX ?? "/usr/bin/firefox-esr";
const WEBKIT = process.env.DUIA_WEBKIT ?? "/usr/bin/WebKitWebDriver";
const SCREEN = { width: 1280, height: 800 };

const isThere = (program) => access(program).then(() => true, () => false);
const later = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function firefox(url) {
  const browser = await puppeteer.launch({ browser: "firefox", executablePath: FIREFOX, headless: true, timeout: PATIENCE, protocolTimeout: PATIENCE });
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const wrong = [];
  page.on("console", (message) => {
    // A sample that is not there is no error: the page asks for it to find out.
    if (message.type() === "error" && !message.text().includes("sample.bin")) wrong.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`exception: ${error}`));
  await page.setViewport(SCREEN);
  await page.goto(url);
  return {
    wrong,
    evaluate: (look, ...given) => page.evaluate(look, ...given),
    click: (selector) => page.click(selector),
    picture: () => page.screenshot(),
    close: () => browser.close(),
  };
}

/** A port that nobody uses now. */
const port = () =>
  new Promise((found) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });

async function webkit(url) {
  const at = await port();
  // A group of its own, so that the display ends with the driver.
  const driver = spawn("xvfb-run", ["-a", "-s", `-screen 0 ${SCREEN.width}x${SCREEN.height}x24`, WEBKIT, `--port=${at}`], { detached: true, stdio: "ignore" });
  const ask = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${at}${path}`, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${value.message}`);
    return value;
  };
  const end = Date.now() + 120 * SECOND;
  while (!(await ask("GET", "/status").catch(() => Date.now() > end))) await later(100);
  const { sessionId } = await ask("POST", "/session", { capabilities: { alwaysMatch: { browserName: "MiniBrowser" } } });
  const session = (method, path, body) => ask(method, `/session/${sessionId}${path}`, body);
  await session("POST", "/url", { url });
  return {
    // It tells nothing of its console; what is wrong, the page says itself.
    wrong: [],
    evaluate: (look, ...given) => session("POST", "/execute/sync", { script: `return (${look})(...arguments)`, args: given }),
    async click(selector) {
      const element = await session("POST", "/element", { using: "css selector", value: selector });
      await session("POST", `/element/${Object.values(element)[0]}/click`, {});
    },
    picture: async () => Buffer.from(await session("GET", "/screenshot"), "base64"),
    async close() {
      await session("DELETE", "").catch(() => {});
      try {
        process.kill(-driver.pid);
      } catch {
        // It has ended by itself.
      }
    },
  };
}

/** The browsers: a name, the Debian packages that hold it, whether it is here, and how it opens a page. */
export const FOREIGN = [
  { name: "Firefox", packages: "firefox-esr", here: await isThere(FIREFOX), open: firefox },
  { name: "WebKit", packages: "webkit2gtk-driver and xvfb", here: (await isThere(WEBKIT)) && (await isThere("/usr/bin/xvfb-run")), open: webkit },
];

/** How WebKit tells that a program reached beyond its memory. */
const CRASH = "Out of bounds memory access";

/**
 * WebKitGTK 2.50 ended the trainer's program like this in the first steps of a run of CI. In sixty openings afterwards it never did so, nor
 * did another engine with the same bytes: as far as anyone can tell it is the browser's own fault.
 */
export class Crash extends Error {}

/** The page as a person reads and works it, in any browser. */
export class Visitor extends Patient {
  constructor(browser) {
    super();
    this.browser = browser;
  }

  text(id) {
    return this.browser.evaluate((id) => document.querySelector(`[data-testid="${id}"]`)?.innerText ?? "", id);
  }

  press(id) {
    return this.browser.click(`[data-testid="${id}"]`);
  }

  /** Chooses an entry of a list. */
  choose(id, value) {
    return this.browser.evaluate((id, value) => {
      const list = document.querySelector(`[data-testid="${id}"]`);
      list.value = value;
      list.dispatchEvent(new Event("change", { bubbles: true }));
    }, id, value);
  }

  /** Waits no longer where the trainer's program has crashed. */
  until(what, look, patience) {
    const orCrash = async () => {
      const value = await look();
      const failure = value ? "" : await this.text("failure");
      if (failure.includes(CRASH)) throw new Crash(failure);
      return value;
    };
    return super.until(what, orCrash, patience);
  }

  async situation() {
    return (await Promise.all(["phase", "step-count", "device-badge", "failure"].map((id) => this.text(id)))).join(", ");
  }

  /** Colours of a canvas: one, where nothing was drawn. */
  colours(id) {
    return this.browser.evaluate((id) => {
      const canvas = document.querySelector(`[data-testid="${id}"]`);
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    }, id);
  }
}
