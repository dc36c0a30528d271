// <duia-live>: the page of duia as an element of another page. It shows the page in a frame of its own, with a worker of its own, so
// that any number of them work side by side and none can touch what is around it. docs/embedding.md has its attributes.

const SECOND = 1_000;
/** Longest wait for the page before the element says that it has not come. */
const LATE = 5 * SECOND;
/** Once a document has loaded: time for the page's own word, which comes from another process. */
const WORD = 1.5 * SECOND;
/** Longest wait for the host's answer when a failure is looked into. */
const LOOK = 4 * SECOND;
/** No page is taller, whatever a message says. */
const TALLEST = 50_000;

/** What is trained and how: keys of the page's link. Whatever else a link can hold stands in `settings`. */
const RUN = ["preset", "seed", "variants", "device", "sample", "autoplay"];
/** A lesson brings settings of its own. */
const LESSON = ["lesson", "step"];
/** How the page looks. They change under a run that goes on. */
const APPEARANCE = ["theme", "lang", "hide", "present"];
/** They may stand alone, as `hidden` does. */
const SWITCHES = ["sample", "autoplay", "present"];
const ATTRIBUTES = [...RUN, ...LESSON, ...APPEARANCE, "settings", "src", "title", "loading"];
/** Those that an element does not have by itself as properties. */
const OWN = ATTRIBUTES.filter((name) => name !== "title" && name !== "lang");

/**
 * What the page's frame may do. Its program is a module and has a worker, which a browser gives to no page without an origin
 * (allow-same-origin). It saves tables and pictures (allow-downloads) and closes its help with a button (allow-forms). It may not open
 * windows, leave the frame, or ask anything of the person.
 */
const SANDBOX = "allow-scripts allow-same-origin allow-downloads allow-forms";
/** "Copy the link" is a button. */
const MAY = "clipboard-write";

// In a variable, so that a bundler does not take the page's address for a file of its own.
const HERE = import.meta.url;

const STYLE = `
  :host { display: flex; flex-direction: column; box-sizing: border-box; height: 30rem; max-height: 90vh; overflow: hidden; }
  :host([hidden]) { display: none; }
  iframe { flex: 1; width: 100%; min-height: 0; border: 0; }
  p { margin: 0; padding: 1em; font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; border: 1px solid currentcolor; }
  [hidden] { display: none; }
`;

const text = (words) => document.createTextNode(words);

function link(url) {
  const anchor = document.createElement("a");
  [anchor.href, anchor.target, anchor.rel, anchor.textContent] = [url, "_blank", "noopener", "Open it alone"];
  return anchor;
}

// Where there is no document, as on a server that renders pages, the module can be imported and does nothing.
const Base = globalThis.HTMLElement ?? class {};

export class DuiaLive extends Base {
  static observedAttributes = ATTRIBUTES;

  /** The attributes as properties, as frameworks set them; null takes one away. */
  static {
    for (const name of OWN) {
      Object.defineProperty(this.prototype, name, {
        configurable: true,
        enumerable: true,
        get() {
          return this.getAttribute(name);
        },
        set(value) {
          if (value === null || value === undefined || value === false) this.removeAttribute(name);
          else this.setAttribute(name, value === true ? "" : value);
        },
      });
    }
  }

  #root;
  #sheet = new CSSStyleSheet();
  #notice;
  #frame = null;
  /** Whether the page has said that it is there. */
  #here = false;
  #timers = new Set();
  #sight = null;
  #changed = new Set();

  constructor() {
    super();
    this.#root = this.attachShadow({ mode: "open" });
    this.#sheet.replaceSync(STYLE);
    this.#root.adoptedStyleSheets = [this.#sheet];
    this.#notice = document.createElement("p");
    this.#notice.setAttribute("role", "status");
    this.#notice.part.add("notice");
    this.#notice.hidden = true;
    this.#root.append(this.#notice);
  }

  connectedCallback() {
    // What was set before the element was defined stands in the way of its accessors.
    for (const name of OWN.filter((name) => Object.hasOwn(this, name))) {
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
    addEventListener("message", this.#hear);
    document.addEventListener("securitypolicyviolation", this.#forbid);
    if (this.loading !== "lazy") return this.#open();
    this.#sight = new IntersectionObserver(([entry]) => entry.isIntersecting && this.#open(), { rootMargin: "50%" });
    this.#sight.observe(this);
  }

  disconnectedCallback() {
    removeEventListener("message", this.#hear);
    document.removeEventListener("securitypolicyviolation", this.#forbid);
    this.#close();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.#frame || before === now) return;
    if (this.#changed.size === 0) queueMicrotask(() => this.#follow());
    this.#changed.add(name);
  }

  /** Several attributes that change in one go are one change. */
  #follow() {
    const changed = [...this.#changed];
    this.#changed.clear();
    if (!this.#frame) return;
    this.#frame.title = this.#name();
    const keys = changed.filter((name) => name !== "title" && name !== "loading");
    if (keys.length === 0) return;
    if (keys.includes("src") || this.lesson !== null || keys.some((key) => LESSON.includes(key))) return this.#open();
    if (this.#here && keys.every((key) => APPEARANCE.includes(key))) {
      const look = Object.fromEntries(keys.map((key) => [key, this.#value(key)]));
      return this.#frame.contentWindow.postMessage({ duia: 1, look }, "*");
    }
    const url = this.#url();
    // In place of the entry before: Back belongs to the page around the element.
    if (url) this.#frame.contentWindow.location.replace(url.href);
  }

  /** A key's value in the link; null where it is not given. */
  #value(key) {
    const value = this.getAttribute(key);
    if (key === "lang") return value && value.split("-")[0].toLowerCase();
    return value === "" && SWITCHES.includes(key) ? "on" : value;
  }

  #name() {
    return this.title || "DUIA live: a recommender that learns";
  }

  /** The page's address with all that the attributes say; null, and a sentence, where it is none. */
  #url() {
    let url = null;
    try {
      url = this.src === null ? new URL("page/index.html", HERE) : new URL(this.src, document.baseURI);
    } catch {
      // Said below.
    }
    if (!/^https?:$/.test(url?.protocol ?? "")) {
      this.#trouble(`src="${this.src}" is no address of a page: it must begin with http: or https:, or be relative.`);
      return null;
    }
    const pairs = new URLSearchParams((this.settings ?? "").replace(/^[^#]*#/, ""));
    for (const key of [...RUN, ...LESSON, ...APPEARANCE]) {
      const value = this.#value(key);
      if (value !== null) pairs.set(key, value);
    }
    pairs.set("embed", "1");
    url.hash = pairs;
    return url;
  }

  #open() {
    this.#close();
    const url = this.#url();
    if (!url) return;
    const frame = document.createElement("iframe");
    [frame.title, frame.referrerPolicy, frame.allow] = [this.#name(), "no-referrer", MAY];
    frame.setAttribute("sandbox", SANDBOX);
    frame.part.add("frame");
    frame.addEventListener("load", () => this.#after(WORD, () => this.#explain(url)));
    this.#after(LATE, () => this.#tell([`The page has not answered for ${LATE / SECOND} s. It is shown as soon as it comes. `, link(url)]));
    frame.src = url.href;
    this.#frame = frame;
    this.#root.append(frame);
  }

  #close() {
    this.#timers.forEach(clearTimeout);
    this.#timers.clear();
    this.#sight?.disconnect();
    this.#sight = null;
    this.#frame?.remove();
    this.#frame = null;
    this.#here = false;
    this.#notice.hidden = true;
  }

  /** Calls `act` then, unless the page has spoken or another one has been opened. */
  #after(milliseconds, act) {
    if (this.#here) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#here) act();
    }, milliseconds);
    this.#timers.add(timer);
  }

  /** A document has loaded and is not the page: a browser tells nobody what came in its place, so the host is asked once more. */
  async #explain(url) {
    const frame = this.#frame;
    const answer = await fetch(url, { signal: AbortSignal.timeout(LOOK) }).catch(() => null);
    if (frame !== this.#frame || this.#here) return;
    const seen = answer && !answer.ok ? `the host answers ${answer.status}` : "what came is not the page of duia, or may not be shown in a frame";
    this.#trouble(`There is no page at ${url.origin}${url.pathname}: ${seen}. Check src, and that the whole folder is there as it was built.`);
  }

  #forbid = (event) => {
    const url = this.#frame && new URL(this.#frame.src);
    if (!url || this.#here || !/^(frame|child|default)-src$/.test(event.effectiveDirective) || !event.blockedURI.startsWith(url.origin)) return;
    this.#timers.forEach(clearTimeout);
    this.#trouble(`The content security policy of this page (${event.effectiveDirective}) forbids the frame: it must allow ${url.origin} in frame-src.`);
  };

  #hear = (event) => {
    if (!this.#frame || event.source !== this.#frame.contentWindow || event.data?.duia !== 1) return;
    if (!this.#here) {
      this.#here = true;
      this.#timers.forEach(clearTimeout);
      this.#notice.hidden = true;
      this.#frame.hidden = false;
      this.dispatchEvent(new CustomEvent("duia-ready"));
    }
    const { height } = event.data;
    if (height > 0 && height <= TALLEST) this.#grow(`${Math.ceil(height)}px`);
  };

  /** The height where the page around says none. */
  #grow(height) {
    this.#sheet.cssRules[0].style.height = height;
  }

  #tell(words) {
    this.#notice.replaceChildren(...words.map((word) => (typeof word === "string" ? text(word) : word)));
    this.#notice.hidden = false;
  }

  /** Said in the place of the frame. */
  #trouble(message) {
    if (this.#frame) this.#frame.hidden = true;
    this.#grow("auto");
    this.#tell([message]);
    this.dispatchEvent(new CustomEvent("duia-trouble", { detail: { message } }));
  }
}

if (globalThis.customElements && !customElements.get("duia-live")) customElements.define("duia-live", DuiaLive);
