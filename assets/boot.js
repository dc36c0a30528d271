// Starts the page's program, and says why where it does not start.
//
// A classic script on purpose, without an integrity attribute: a module, or a script that is checked, loads neither in a
// sandboxed frame nor from a file, and those are among what must be said. Where even this file does not run, the style sheet
// shows a sentence after some seconds (.late).
"use strict";

globalThis.duia = (() => {
  const SECOND = 1_000;
  /** Longest wait for a file before the page says that it has not come. */
  const LATE = 5 * SECOND;
  /** Longest wait for each file when a failure is looked into. */
  const LOOK = 4 * SECOND;
  /** Wait after the page is loaded until its files are kept: the trainer loads first. */
  const KEEP = 10 * SECOND;
  /** Longest wait for the first words in another language before English ones are shown. */
  const UNTOLD = SECOND / 2;
  // A program of one instruction that needs SIMD.
  const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
  /** Keys of the link that change how the page looks, and not what it trains. */
  const LOOKS = ["theme", "lang", "hide", "present"];
  const BROWSERS = "Use Chrome or Edge 91, Firefox 89, Safari 16.4 or later, and allow WebAssembly.";
  const SCRIPT_TYPES = /^(text|application)\/(x-)?(javascript|ecmascript)\b/i;

  /** The languages besides English that there is a file of, as documents name them. */
  const LANGUAGES = { zh: "zh-CN" };

  // Before anything is drawn, so that a dark page does not flash white, nor a framed one show what it is to leave out.
  const link = new URLSearchParams(`${location.search.slice(1)}&${location.hash.slice(1)}`);
  const last = (key) => link.getAll(key).pop();
  const theme = last("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  if (["1", "on"].includes(last("embed"))) document.documentElement.dataset.embed = "";

  const plainly = (text) => text;
  let hush = () => {};
  let turns = 0;
  const duia = { diagnose: (names, text) => diagnose(names.map((name) => ({ url: new URL(name, document.baseURI).href })), text), speak, say: plainly };

  const parsed = new Promise((done) => addEventListener("DOMContentLoaded", done));

  /** The first language of the browser's that this page has. */
  const preferred = () => (navigator.languages ?? []).map((name) => name.slice(0, 2).toLowerCase()).find((name) => name === "en" || name in LANGUAGES);

  /** Shows the page in a language, `en` or one of the others; in the browser's where it is neither. Tells it by an event when all is said. */
  async function speak(name) {
    const language = name === "en" || name in LANGUAGES ? name : preferred();
    const turn = ++turns;
    const veil = (on) => document.documentElement.toggleAttribute("data-untold", on);
    // The old language goes before the new one comes: what is English again would be told anew.
    const set = (words, begin, missing = "") => {
      veil(false);
      hush();
      hush = begin();
      duia.say = words;
      dispatchEvent(new CustomEvent("spoken", { detail: missing }));
    };
    const english = (missing) => set(plainly, () => () => {}, missing);
    document.documentElement.lang = LANGUAGES[language] ?? "en";
    if (!(language in LANGUAGES)) return english();
    if (turn === 1) {
      veil(true);
      setTimeout(() => veil(false), UNTOLD);
    }
    const beside = (file) => new URL(`assets/${file}`, document.baseURI).href;
    try {
      const [{ translator, follow }, entries] = await Promise.all([
        import(beside("language.js")),
        fetch(beside(`${language}.json`)).then((response) => response.json()),
        parsed,
      ]);
      // Another one may be wanted by now.
      if (turn !== turns) return;
      const say = translator(entries);
      set(say, () => follow(say));
    } catch {
      if (turn !== turns) return;
      document.documentElement.lang = "en";
      english(language);
    }
  }

  speak(last("lang"));

  /** What the content security policy stopped so far. A policy can come from the host, which this page does not know. */
  const stopped = [];
  addEventListener("securitypolicyviolation", (event) => stopped.push(event));

  const nameOf = (url) => url.split("/").pop() || url;
  const list = (parts) => parts.join("; ");

  /** What is wrong with a file as the host sends it; null where nothing is. */
  async function inspect({ url, integrity }) {
    const name = nameOf(url);
    const give = () => ({ cache: "no-store", signal: AbortSignal.timeout?.(LOOK) });
    try {
      const response = await fetch(url, give());
      const type = response.headers.get("content-type");
      if (!response.ok) return `the host answers ${response.status} for ${name}`;
      if (/^text\/html\b/i.test(type ?? "")) return `the host sends a page of HTML in the place of ${name}, so the file is missing`;
      if (/\.m?js$/.test(url) && !SCRIPT_TYPES.test(type ?? "")) {
        return `the host sends ${name} ${type ? `as "${type}"` : "without a type"} and must send it as "text/javascript"`;
      }
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (integrity && !(await fetch(url, { ...give(), integrity }).then(() => true, () => false))) {
        return `${name} arrived changed or cut (${bytes.length} bytes): its checksum is not the one of this page's build`;
      }
      if (/\.wasm$/.test(url) && !WebAssembly.validate(bytes)) {
        return `${name} arrived changed or cut: its ${bytes.length} bytes are no whole WebAssembly program`;
      }
      return null;
    } catch (error) {
      if (error.name === "TimeoutError") return `${name} did not arrive within ${LOOK / SECOND} s`;
      return `${name} could not be fetched (${error.message})`;
    }
  }

  /** The host's policy where it stopped something that the page needs. */
  function forbidden(error) {
    const text = String(error?.message ?? error ?? "");
    const wasm = stopped.some((event) => event.blockedURI === "wasm-eval") || /wasm|WebAssembly/.test(text) && /Content Security Policy|unsafe-eval/.test(text);
    if (wasm) return "the host's content security policy forbids WebAssembly: it must allow 'wasm-unsafe-eval' in script-src";
    const own = stopped.find((event) => event.blockedURI.startsWith(location.origin));
    return own && `the host's content security policy (${own.effectiveDirective}) stops ${nameOf(own.blockedURI)}: it must allow 'self' there`;
  }

  /** Where this page runs, when no program can run there. */
  function misplaced() {
    if (location.protocol === "file:") {
      return {
        what: "this page was opened as a file, and a browser runs its program only from a server",
        next: "Run \"make demo\", or serve its folder (for instance with \"python3 -m http.server\") and open the address that is said there.",
      };
    }
    if (globalThis.origin === "null") {
      return {
        what: "this page is in a sandboxed frame, where a browser lets it start neither its program nor a trainer",
        next: "Open it alone, or let the frame have sandbox=\"allow-scripts allow-same-origin\".",
        alone: true,
      };
    }
    if (typeof WebAssembly !== "object") return { what: "it needs WebAssembly, which is missing or switched off here", next: BROWSERS };
    if (!WebAssembly.validate(new Uint8Array(SIMD))) return { what: "it needs WebAssembly with SIMD, which this browser lacks", next: BROWSERS };
    return null;
  }

  /** Why a program did not start: what was seen and what to do. Of its files each has a `url`, and `integrity` where it is known. */
  async function diagnose(files, error) {
    const place = misplaced();
    if (place) return place;
    const policy = forbidden(error);
    if (policy) return { what: policy, next: "Ask whoever runs this host to change that header." };
    const faults = (await Promise.all(files.map(inspect))).filter(Boolean);
    if (faults.length > 0) return { what: list(faults), next: "Reload. If it stays, the host must send the whole folder as it was built." };
    const text = String(error?.message ?? error ?? "");
    return { what: text || "the browser gave no reason, and all its files arrive whole", next: "Reload. If it stays, try another browser." };
  }

  function button(text, press) {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = text;
    element.addEventListener("click", press);
    return element;
  }

  /** Puts sentences and controls in the place of "Starting". */
  function show(boot, sentences, controls) {
    const words = document.createElement("span");
    words.textContent = sentences;
    boot.replaceChildren(words, ...controls);
  }

  function alone() {
    const link = document.createElement("a");
    [link.href, link.target, link.rel, link.textContent] = [location.href, "_blank", "noopener", `Open it alone: ${location.href}`];
    return link;
  }

  const reload = () => location.reload();

  async function start(boot) {
    let over = false;
    const fail = (why) => {
      if (over) return;
      over = true;
      boot.dataset.failed = "";
      boot.setAttribute("role", "alert");
      show(boot, `The page could not start: ${why.what}. ${why.next}`, why.alone ? [alone()] : [button("Reload", reload)]);
    };
    const place = misplaced();
    if (place) return fail(place);
    // The names of the program, as the build wrote them.
    const { js, wasm } = document.querySelector("meta[name=program]").dataset;
    const absolute = (name) => new URL(name, document.baseURI).href;
    const checksums = new Map([...document.querySelectorAll("link[integrity]")].map((link) => [link.href, link.integrity]));
    const files = [absolute(js), absolute(wasm)].map((url) => ({ url, integrity: checksums.get(url) }));
    const explain = async (error) => fail(await diagnose(files, error));
    const late = () => {
      const came = new Set(performance.getEntriesByType("resource").map((entry) => entry.name));
      const missing = files.filter(({ url }) => !came.has(url)).map(({ url }) => nameOf(url));
      const seen = missing.length > 0 ? `${list(missing)} has not arrived` : "its files are here and it has not begun";
      if (!over) show(boot, `The page is still starting: after ${LATE / SECOND} s ${seen}. It goes on by itself when it can.`, [button("Reload", reload)]);
    };
    const timer = setTimeout(late, LATE);
    try {
      const program = await import(files[0].url);
      await program.default({ module_or_path: files[1].url });
    } catch (error) {
      await explain(error);
    }
    over = true;
    clearTimeout(timer);
  }

  /** Keeps the page's files for when there is no network, once the page has had time for itself. Where that is not allowed, nothing is lost. */
  function keep() {
    try {
      navigator.serviceWorker?.register(new URL("sw.js", document.baseURI)).catch(() => {});
    } catch {
      // A sandboxed frame has no service worker, and says so by throwing.
    }
  }

  addEventListener("load", () => setTimeout(keep, KEEP));

  /**
   * In a frame: tells the page around that this one is there and how tall it is, which is no secret, and lets that page change how this
   * one looks. A frame's address, which it can change too, would begin the run anew. web/element/duia-live.js is the other side.
   */
  function answerFrame() {
    const tell = (height) => parent.postMessage({ duia: 1, height }, "*");
    tell(0);
    addEventListener("DOMContentLoaded", () => new ResizeObserver(() => tell(document.documentElement.getBoundingClientRect().height)).observe(document.body));
    addEventListener("message", ({ source, data }) => {
      if (source !== parent || data?.duia !== 1 || typeof data.look !== "object") return;
      const [place, hash = ""] = location.href.split("#");
      const pairs = new URLSearchParams(hash);
      for (const key of LOOKS.filter((key) => key in data.look)) {
        pairs.delete(key);
        if (typeof data.look[key] === "string") pairs.set(key, data.look[key]);
      }
      location.replace(`${place}#${pairs}`);
    });
  }
  if (parent !== globalThis) answerFrame();

  addEventListener("DOMContentLoaded", () => {
    document.getElementById("reload")?.addEventListener("click", reload);
    const boot = document.getElementById("boot");
    boot?.querySelector(".late")?.remove();
    if (boot) start(boot);
  });

  return duia;
})();
