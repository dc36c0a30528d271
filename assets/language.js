// The page in another language than English.
//
// English is the language of the source: the program, the trainer and index.html say everything in it, and the page's program does
// not grow with a language. A language is a file, `<code>.json`: each English text with its translation, texts with holes
// (`step {} of {steps}`) as the source's format strings write them. It is fetched when a person first wants it. From then on what
// is put on the page is translated as it comes, before it is painted. Only the letters of text nodes and of a few attributes are
// changed and never the nodes, so the program goes on with what it holds, and the way back to English is at once. Whoever makes a
// sentence, an error of the core far below included, need not know that it is read in Chinese.
//
// A library (leptos_i18n, fluent) would make every text of the program a call with a key, put a parser for its own format into the
// page's program, and have the core's sentences sent as codes. What has no entry stays English; tests/page/language.test.mjs finds it.

/** Attributes that people read or hear. */
const ATTRIBUTES = ["title", "aria-label", "aria-valuetext", "aria-roledescription", "placeholder"];
/** Parts of index.html whose paragraphs are translated with the marks in them, as nobody else holds their nodes. */
const STATIC = ".story p, #article p, #article dd, footer p";
/** What nobody translates: a person's own words, and what is no text. */
const UNTOUCHED = "[translate=no], script, style, math";
/** Translations that are remembered. */
const MOST_REMEMBERED = 4_000;
/** A text with fewer letters than this beside its holes could be found in many others. */
const FEW = 4;
/** Words that may stand in its holes. */
const FEW_WORDS = 3;
/** Texts in a row that may be one entry. */
const MOST_JOINED = 6;
/** Between two sentences. */
const BOUNDARY = /[.!?…] [A-Z{]/;

const HOLE = /\{(\w*)\}/g;
/** A hole of a translation. */
const PLACE = /( ?)\{(\w*)(!?)\}( ?)/g;
const HAN = /[\u4e00-\u9fff]/;
/** Where a text may be parted, the widest first, and what stands there in the translation. */
const JOINTS = [[/(?<=[.!?…])\s+(?=\S)/, ""], [/; /, "；"], [/ · /, " · "], [/: /, "："], [/, /, "，"]];

/** Where a text that ends or goes on in Chinese needs no space. */
const WIDE = /[\u3000-\u9fff\uff00-\uffef].?$/u;
/** A name with its figure. */
const FIGURE = /^(.*[A-Za-z]) ([–−+±.\d](?:[–−+±.,%×→\s\d]*[–%×\d])?)$/;

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const tidy = (text) => text.trim().replace(/\s+/g, " ");
/** With the other kind of first letter: what is a sentence in one place is a part of one in another. */
const turned = (text) => {
  const first = text.slice(0, 1);
  return (first === first.toLowerCase() ? first.toUpperCase() : first.toLowerCase()) + text.slice(1);
};
/** Whether all that is put in brackets is in them whole. */
const isClosed = (text) => !/[()]/.test(text.replace(/\([^()]*\)/g, "").replace(/\([^()]*\)/g, ""));
const hasWords = (text) => /[A-Za-z]/.test(text);

/** A text with holes as an expression; holes side by side are one. */
function pattern(english, translated) {
  const names = [];
  let source = "";
  let letters = "";
  let from = 0;
  for (const hole of english.matchAll(HOLE)) {
    const between = english.slice(from, hole.index);
    source += escaped(between) + (from > 0 && between === "" ? "" : "(.*?)");
    if (from > 0 && between === "") names[names.length - 1].push(hole[1]);
    else names.push([hole[1]]);
    letters += between;
    from = hole.index + hole[0].length;
  }
  letters += english.slice(from);
  const longest = english.split(HOLE).filter((_, at) => at % 2 === 0).sort((a, b) => b.length - a.length)[0];
  const expression = new RegExp(`^${source}${escaped(english.slice(from))}$`);
  const isWeak = letters.replace(/[^A-Za-z]/g, "").length < FEW;
  const isMany = BOUNDARY.test(english);
  // The part of a sentence that ends with a hole has no full stop in it.
  return { expression, names, translated, longest, letters: letters.length, isWeak, isMany, isOpen: english.endsWith("}") && !isMany };
}

/** Puts what was found into the holes of a translation: by name, by number, or in their order; into `{name!}` as it was found. */
function fill(translated, names, values, say) {
  const unnamed = [];
  const named = new Map();
  names.forEach((group, at) => {
    // Of holes side by side the first has it all.
    group.forEach((name, place) => {
      const value = place === 0 ? values[at] : "";
      if (name === "") unnamed.push(value);
      else named.set(name, value);
    });
  });
  let next = 0;
  return translated.replace(PLACE, (place, left, name, raw, right, at) => {
    const found = name === "" ? unnamed[next++] : /^\d+$/.test(name) ? unnamed[Number(name) - 1] : named.get(name);
    const value = raw ? found : say(found);
    // Between Han letters and figures or Latin ones stands a space, between two Han letters none.
    const [before, after] = [translated.slice(at - 1, at), translated.slice(at + place.length, at + place.length + 1)];
    const space = (beside, edge, written) => (HAN.test(beside) ? (/[\w`+−±.%°-]/.test(edge) ? " " : "") : written);
    return space(before, value.slice(0, 1), left) + value + space(after, value.slice(-1), right);
  });
}

/** What says an English text in another language, from the entries of its file. Text that it does not know comes back as it was. */
export function translator(entries) {
  const whole = new Map();
  const patterns = [];
  for (const [english, translated] of Object.entries(entries)) {
    if (/\{\w*\}/.test(english)) patterns.push(pattern(english, translated));
    else whole.set(english, translated);
  }
  // The one that leaves least open is meant.
  patterns.sort((a, b) => b.letters - a.letters);
  const known = new Map();

  // What fills a hole is a part of a sentence, or the sentences after it; of a text that is nearly all holes a few words.
  const fits = (value, { isWeak, isMany }) =>
    (isMany || !BOUNDARY.test(value)) && isClosed(value) && !(isWeak && value.split(" ").length > FEW_WORDS);

  const filled = (text, isRow) => {
    for (const entry of patterns) {
      if ((isRow && entry.isWeak) || !text.includes(entry.longest) || (entry.isOpen && /[.!?]$/.test(text))) continue;
      const values = entry.expression.exec(text)?.slice(1).map((value) => value.trim());
      if (values?.every((value) => fits(value, entry))) return fill(entry.translated, entry.names, values, part);
    }
    return undefined;
  };

  /** The translation of a text that is an entry, alone or with a figure behind it. A row of texts is none with hardly a letter of its own. */
  const match = (text, isRow = false) => {
    const own = whole.get(text) ?? whole.get(turned(text)) ?? filled(text, isRow) ?? filled(turned(text), isRow);
    if (own !== undefined) return own;
    const figure = FIGURE.exec(text);
    const said = figure ? match(figure[1], isRow) : undefined;
    return said === undefined ? undefined : `${said} ${figure[2]}`;
  };

  /** Some sentences in a row may be one entry: of all that begin here the longest. */
  const joined = (parts, joint, between) => {
    let out = "";
    let changed = false;
    for (let from = 0; from < parts.length; ) {
      let to = Math.min(parts.length, from + MOST_JOINED);
      let said;
      for (; to > from + 1; to -= 1) {
        said = match(parts.slice(from, to).join(between), true);
        if (said !== undefined) break;
      }
      if (said === undefined) said = part(parts[from]);
      changed ||= said !== parts.slice(from, to).join(between);
      out += (out === "" ? "" : WIDE.test(out + said.slice(0, 1)) ? joint : between) + said;
      from = to;
    }
    return changed ? out : undefined;
  };

  /** A text without space around it. */
  const part = (text) => {
    if (!hasWords(text)) return text;
    const own = match(text);
    if (own !== undefined) return own;
    const dot = /^(.+?)([.:])$/.exec(text);
    if (dot) {
      const said = match(dot[1]);
      if (said !== undefined) return said + (dot[2] === "." ? "。" : "：");
    }
    const aside = /^(.+) \(([^()]+)\)(\.?)$/.exec(text);
    if (aside) {
      const [before, inside] = [part(aside[1]), part(aside[2])];
      if (before !== aside[1] || inside !== aside[2]) return `${before}（${inside}）${aside[3] && "。"}`;
    }
    for (const [where, joint] of JOINTS) {
      const parts = text.split(where);
      if (parts.length < 2) continue;
      const between = joint === "" ? " " : text.match(where)[0];
      const said = joined(parts, joint, between);
      if (said !== undefined) return said;
    }
    return text;
  };

  const say = (text) => {
    // Of signs only those between two parts have entries.
    if (!hasWords(text)) return whole.get(text) ?? text;
    let said = known.get(text);
    if (said === undefined) {
      const core = tidy(text);
      said = part(core);
      if (said === core) said = text;
      // A word between figures keeps its distance; a sentence needs none.
      else if (!/[。！？]/.test(said)) said = `${/^\s/.test(text) ? " " : ""}${said}${/\s$/.test(text) ? " " : ""}`;
      if (known.size >= MOST_REMEMBERED) known.clear();
      known.set(text, said);
    }
    return said;
  };
  /** The entry of a text, where it has one as it stands. */
  say.entry = (text) => whole.get(tidy(text));
  return say;
}

/** Says all of the document by `say`, and what comes into it, until it is told to stop; then all is English again. */
export function follow(say) {
  const root = document.documentElement;
  /** Of each node what its program wrote, and what was made of it. */
  const own = new WeakMap();
  const paragraphs = new Map();

  const isUntouched = (element) => element === null || element.closest(UNTOUCHED) !== null;

  const sayText = (node) => {
    const now = node.data;
    if (own.get(node)?.said === now || isUntouched(node.parentElement)) return;
    const said = say(now);
    own.set(node, { english: now, said });
    if (said !== now) node.data = said;
  };

  const sayAttribute = (element, name) => {
    const now = element.getAttribute(name);
    if (now === null || element.closest("[translate=no]") !== null) return;
    const all = own.get(element) ?? new Map();
    if (all.get(name)?.said === now) return;
    const said = say(now);
    all.set(name, { english: now, said });
    own.set(element, all);
    if (said !== now) element.setAttribute(name, said);
  };

  const sayParagraph = (element) => {
    const said = element.childElementCount > 0 ? say.entry(element.innerHTML) : undefined;
    if (said === undefined) return;
    paragraphs.set(element, element.innerHTML);
    element.innerHTML = said;
  };

  const walk = (node, text, attribute) => {
    const walker = document.createTreeWalker(node, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let at = node; at; at = walker.nextNode()) {
      if (at.nodeType === Node.TEXT_NODE) text(at);
      else if (at.nodeType === Node.ELEMENT_NODE) for (const name of ATTRIBUTES) attribute(at, name);
    }
  };

  const observer = new MutationObserver((records) => {
    for (const { type, target, attributeName, addedNodes } of records) {
      if (type === "characterData") sayText(target);
      else if (type === "attributes") sayAttribute(target, attributeName);
      else for (const node of addedNodes) walk(node, sayText, sayAttribute);
    }
  });

  document.querySelectorAll(STATIC).forEach(sayParagraph);
  walk(root, sayText, sayAttribute);
  observer.observe(root, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES });

  return () => {
    observer.disconnect();
    for (const [element, english] of paragraphs) element.innerHTML = english;
    walk(
      root,
      (node) => {
        const known = own.get(node);
        if (known && known.said === node.data) node.data = known.english;
      },
      (element, name) => {
        const known = own.get(element)?.get(name);
        if (known && known.said === element.getAttribute(name)) element.setAttribute(name, known.english);
      },
    );
  };
}
