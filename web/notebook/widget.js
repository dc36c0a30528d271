// The other side of duia_live.py: a widget's traits as the element's attributes. The element's program stands before this one.

const TRAITS = ["preset", "seed", "variants", "device", "sample", "autoplay", "lesson", "step", "theme", "lang", "hide", "present", "src"];

/** A trait as an attribute says it: none where it is not given, and a switch by a word. */
function word(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
}

export default {
  render({ model, el }) {
    const live = document.createElement("duia-live");
    const follow = {
      settings: () => (live.settings = String(new URLSearchParams(model.get("settings")))),
      height: () => (live.style.height = model.get("height") === "auto" ? "" : model.get("height")),
    };
    for (const name of TRAITS) {
      follow[name] = () => {
        const value = word(model.get(name));
        if (value === null) live.removeAttribute(name);
        else live.setAttribute(name, value);
      };
    }
    const tell = (message) => {
      model.set("trouble", message);
      model.save_changes();
    };
    live.addEventListener("duia-trouble", ({ detail }) => tell(detail.message));
    live.addEventListener("duia-ready", () => tell(""));
    for (const [name, set] of Object.entries(follow)) {
      set();
      model.on(`change:${name}`, set);
    }
    el.append(live);
    return () => Object.entries(follow).forEach(([name, set]) => model.off(`change:${name}`, set));
  },
};
