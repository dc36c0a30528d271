"use strict";
(() => {
  const run = JSON.parse(document.getElementById("run").textContent);
  /** Standard errors of a 95 % interval. */
  const WIDTH = 1.96;
  /** Milliseconds that a whole run takes to play. */
  const LENGTH = 20_000;
  const GROUPS = [["low", "Quiet users"], ["high", "Active users"], ["all", "All users"]];
  const SVG = "http://www.w3.org/2000/svg";

  // Words

  const isNumber = (value) => typeof value === "number";
  const count = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ",");
  const minus = (text) => text.replace("-", "−");
  const area = (value) => (isNumber(value) ? value.toFixed(4) : "–");
  const signed = (value) => (isNumber(value) ? minus((value < 0 ? "" : "+") + value.toFixed(4)) : "–");
  const points = (value) => (isNumber(value) ? minus((value < 0 ? "" : "+") + value.toFixed(3)).replace("0.", ".") : "–");
  const percent = (value) => (isNumber(value) ? `${Math.round(100 * value)} %` : "–");
  const loss = (value) => (isNumber(value) ? value.toFixed(4) : "–");
  const around = ([value, error], write) => `${write(value)} ± ${area(isNumber(error) ? WIDTH * error : null)}`;
  const exact = (value) => (isNumber(value) ? String(value) : "–");

  // Elements

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    return fill(element, attributes, children);
  }
  function draw(name, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, name), attributes, children);
  }
  function fill(element, attributes, children) {
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  // The run by its moments: each step at which something was told, and at the end the final test.

  const probes = run.evaluations.filter(({ kind }) => kind === "probe-set");
  const whole = run.evaluations.findLast(({ kind }) => kind === "whole");
  const streaming = run.evaluations.findLast(({ kind }) => kind === "streaming");
  const told = [probes.map(({ step }) => step), run.losses.map(([step]) => step), run.pictures.map(({ step }) => step)];
  const moments = [...new Set(told.flat())].sort((a, b) => a - b).map((step) => ({ step, isFinal: false }));
  if (whole) moments.push({ step: whole.step, isFinal: true });
  const length = Math.max(run.step, run.steps, 1);
  const lastUntil = (series, step, stepOf = (one) => one.step) => series.findLast((one) => stepOf(one) <= step) ?? null;
  const evaluation = (moment) => (moment.isFinal ? whole : lastUntil(probes, moment.step));

  const names = run.models.map(({ name }) => name);
  let rival = run.models.findIndex((model) => model.is_rival);
  const classOf = (model, front) => {
    if (model === 0) return "base";
    if (model === rival) return front;
    return run.models[model].is_told ? "told" : `o${model % 5}`;
  };

  /** A difference and what may be said of it. */
  function finding(moment, group) {
    const measured = evaluation(moment);
    const lift = measured?.models[rival]?.lift?.[group];
    if (!lift || !isNumber(lift[0])) return null;
    const [value, error] = lift;
    return { value, low: value - WIDTH * error, high: value + WIDTH * error, measured };
  }
  function verdict(found) {
    if (!found) return "not measured yet";
    if (found.low > 0) return `${points(found.value)}, a gain in this run`;
    if (found.high < 0) return `${points(found.value)}, a loss in this run`;
    return `${points(found.value)}, ${found.measured.kind === "whole" ? "not certain" : "not yet certain"}`;
  }
  function why(moment) {
    if (rival < 0) return "One model alone: nothing is compared.";
    const found = finding(moment, "low");
    const [model, base] = [names[rival], names[0]];
    if (!found) return `${model} minus ${base} for quiet users: not measured yet at this step.`;
    const { kind, step, positives } = found.measured;
    const [all, low, high] = [count(positives.low), points(found.low), points(found.high)];
    if (kind === "whole") return `${model} minus ${base} for quiet users, final test: whole test set, ${all} positives, 95 % interval ${low} to ${high}.`;
    return `${model} minus ${base} for quiet users, probe set at step ${count(step)}, ${all} positives, 95 % interval ${low} to ${high}.`;
  }

  // Charts

  const [LEFT, RIGHT, TOP, BOTTOM] = [46, 44, 8, 22];
  const LARGE = [420, 170];
  const SMALL = [300, 130];
  let charts = 0;

  /** Round numbers that divide a range. */
  function ticks(low, high, most) {
    const raw = (high - low) / most;
    const unit = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((n) => n * unit).find((size) => size >= raw);
    const all = [];
    for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9; n += 1) all.push(n * step);
    return { all, digits: Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9))) };
  }

  /**
   * A chart of lines, each with its name, class, points `[step, value, half of the interval]`, and in the end perhaps the final test's.
   * What is not yet is drawn faintly. `update(moment)` moves the cursor and writes the values there.
   */
  function chart(title, { about, lines, write, zero = false, size: [W, H] = LARGE }) {
    const x = (step) => LEFT + ((W - LEFT - RIGHT) * step) / length;
    const LAST = W - RIGHT / 2;
    const clip = `clip-${(charts += 1)}`;
    const values = lines.flatMap(({ points, last }) => [...points, ...(last ? [[0, ...last]] : [])]).flatMap(([, value, half = 0]) => [value - half, value + half]);
    const real = values.filter(Number.isFinite);
    if (zero) real.push(0);
    let [low, high] = [Math.min(...real), Math.max(...real)];
    if (!(high > low)) [low, high] = [(Number.isFinite(low) ? low : 0) - 0.05, (Number.isFinite(high) ? high : 0) + 0.05];
    const y = (value) => TOP + ((H - TOP - BOTTOM) * (high - value)) / (high - low);
    const at = ([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`;
    const grid = ticks(low, high, 4);
    const rows = grid.all.map((value) => [
      draw("line", { class: zero && Math.abs(value) < 1e-12 ? "zero" : "axis", x1: LEFT, x2: W - 4, y1: y(value), y2: y(value) }),
      draw("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, minus(write === percent ? percent(value) : value.toFixed(grid.digits))),
    ]);
    const columns = ticks(0, length, W / 100).all.map((step) => draw("text", { x: x(step), y: H - 6, "text-anchor": "middle" }, count(Math.round(step))));
    const curve = ({ points, name }) => {
      // A gap where a value is missing.
      const parts = [[]];
      for (const point of points) isNumber(point[1]) ? parts.at(-1).push(point) : parts.push([]);
      return parts.filter((part) => part.length > 0).flatMap((part) => [
        isNumber(part[0][2])
          ? draw("path", { class: "band", d: `M${part.map(([s, v, h]) => at([s, v + h])).join("L")}L${part.map(([s, v, h]) => at([s, v - h])).reverse().join("L")}Z` })
          : null,
        draw("path", { class: "line", d: `M${part.map(at).join("L")}${part.length === 1 ? "h.1" : ""}`, "data-line": name }),
      ]);
    };
    const layer = (attributes) => draw("g", attributes, ...lines.map((line) => draw("g", { class: line.look }, ...curve(line))));
    const finals = draw("g", {}, ...lines.filter(({ last }) => last && isNumber(last[0])).map(({ look, last: [value, half = 0] }) =>
      draw("g", { class: look }, draw("circle", { class: "final", cx: LAST, cy: y(value), r: 3 }), draw("line", { class: "final", x1: LAST, x2: LAST, y1: y(value - half), y2: y(value + half) }))));
    const window = draw("rect", { x: 0, y: 0, height: H });
    const cursor = draw("line", { class: "cursor", y1: TOP, y2: H - BOTTOM });
    const hasFinal = lines.some(({ last }) => last);
    const picture = draw("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${title}, by step` },
      draw("clipPath", { id: clip }, window), ...rows.flat(), ...columns,
      hasFinal ? draw("text", { x: LAST, y: H - 6, "text-anchor": "middle" }, "final") : null,
      layer({ class: "ghost" }), layer({ "clip-path": `url(#${clip})` }), finals, cursor);
    const outputs = lines.map(() => make("b"));
    const key = make("ul", { class: "key" }, ...lines.map(({ name, look }, n) =>
      make("li", { class: look }, draw("svg", { viewBox: "0 0 28 12", "aria-hidden": "true" }, draw("path", { class: "line", d: "M1,6H27" })), make("span", {}, name), outputs[n])));
    const update = (moment) => {
      const place = moment.isFinal && hasFinal ? LAST : x(moment.step);
      window.setAttribute("width", Math.max(0, place + 1));
      cursor.setAttribute("x1", place);
      cursor.setAttribute("x2", place);
      finals.setAttribute("class", moment.isFinal ? "" : "ghost");
      lines.forEach(({ points, last }, n) => {
        const shown = moment.isFinal && last ? last : lastUntil(points, moment.step, ([step]) => step)?.slice(1);
        outputs[n].textContent = !shown ? "–" : isNumber(shown[1]) ? `${write(shown[0])} ± ${area(shown[1])}` : write(shown[0]);
      });
    };
    return { element: make("section", { class: "chart" }, make("h3", {}, title), about ? make("p", { class: "how" }, about) : null, picture, key), update };
  }

  const half = ([value, error]) => [value, isNumber(error) ? WIDTH * error : null];
  const pairs = (of) => ({
    points: probes.filter((one) => of(one)).map((one) => [one.step, ...half(of(one))]),
    last: whole && of(whole) ? half(of(whole)) : null,
  });

  function race() {
    const areas = GROUPS.slice(0, 2).map(([group, title]) =>
      chart(title, { write: area, lines: names.map((name, model) => ({ name, look: classOf(model, group), ...pairs((one) => one.models[model]?.auc[group]) })) }));
    if (rival < 0) return areas;
    const lines = GROUPS.slice(0, 2).map(([group, name]) => ({ name, look: group, ...pairs((one) => one.models[rival]?.lift?.[group]) }));
    return [...areas, chart(`${names[rival]} minus ${names[0]}`, { about: "Paired: both models score the same rows. While the band holds zero, nothing is shown.", lines, write: signed, zero: true })];
  }

  const HEALTH = [
    ["Hit rate", "Share of centres that are the nearest of somebody.", [["centres", "hit", (health) => health.hit_rate_1], ["children", "base", (health) => health.hit_rate_2]], percent],
    ["Evenness", "Perplexity of the assignment over the number of centres.", [["centres", "hit", (health) => health.perplexity_1], ["children", "base", (health) => health.perplexity_2]], percent],
    ["The largest cluster", "Share of the positives that have it.", [["share", "hit", (health) => health.top_share]], percent],
    ["Tightness", "Squared distance to the centre over that to the mean.", [["distance", "hit", (health) => health.relative_error]], area],
    ["Stopped", "Users who are given nothing, for a centre points away from them.", [["quiet", "low", (health) => health.stopped.low], ["active", "high", (health) => health.stopped.high]], percent],
    ["Planted groups found", "Normalised mutual information, and purity.", [["NMI", "hit", (health) => health.nmi], ["purity", "base", (health) => health.purity]], percent],
  ];
  function clusters(shown) {
    const { probed, tested } = run.clusters[shown];
    const has = (lines) => lines.some(([, , of]) => [...probed, tested].some((health) => health && isNumber(of(health))));
    return HEALTH.filter(([, , lines]) => has(lines)).map(([title, about, lines, write]) =>
      chart(title, { about, write, size: SMALL, lines: lines.map(([name, look, of]) => ({ name, look, points: probed.map((health) => [health.step, of(health)]), last: tested ? [of(tested)] : null })) }));
  }

  function losses() {
    return run.terms.map(({ title, about }, term) => {
      const of = (model) => run.losses.map(([step, all]) => [step, all[model]?.[term] ?? null]);
      const lines = names.map((name, model) => ({ name, look: classOf(model, "hit"), points: of(model) }));
      return chart(title, { about, write: loss, size: SMALL, lines: lines.filter(({ points }) => points.some(([, value]) => isNumber(value))) });
    });
  }

  function field() {
    const reach = 25 + run.pictures.reduce((most, { places, members }) => [...places, ...members].reduce((far, at) => Math.max(far, Math.abs(at)), most), 0);
    const picture = draw("svg", { viewBox: `${-reach} ${-reach} ${2 * reach} ${2 * reach}`, role: "img" });
    const words = make("p", { class: "how" });
    const mark = (px, py, isLow) => (isLow ? draw("path", { class: "member low", d: `M${px},${py - 9}l8,14h-16z` }) : draw("circle", { class: "member high", cx: px, cy: py, r: 6 }));
    let shown = null;
    const update = (moment) => {
      const now = lastUntil(run.pictures, moment.step) ?? run.pictures[0];
      if (now === shown) return;
      shown = now;
      const place = (places, n) => [places[2 * n], -places[2 * n + 1]];
      const used = new Set(now.at.filter((_, n) => n % 2 === 0));
      const children = new Set(now.at.filter((_, n) => n % 2 === 1));
      const rings = Array.from({ length: now.centres }, (_, n) => {
        const [cx, cy] = place(now.places, n);
        return draw("circle", { class: used.has(n) ? "centre" : "centre unused", cx, cy, r: 13 });
      });
      const dots = [...children].map((n) => {
        const [cx, cy] = place(now.places, now.centres + n);
        return draw("circle", { class: "child", cx, cy, r: 4 });
      });
      picture.replaceChildren(...rings, ...dots, ...now.ids.map((_, n) => mark(...place(now.members, n), now.low[n])));
      const what = `${now.ids.length} ${now.side} at ${used.size} of ${now.centres} centres at step ${count(now.step)}`;
      words.textContent = `${what}. Rings are centres, grey where nobody is; green dots their children; triangles are quiet users, circles active ones.`;
      picture.setAttribute("aria-label", what);
    };
    return { element: make("div", {}, make("div", { class: "field" }, picture), words), update };
  }

  // Tables

  function table(head, rows, attributes = {}) {
    const row = (cells, cell) => make("tr", {}, ...cells.map((text) => make(cell, cell === "th" ? { scope: "col" } : {}, text)));
    return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "A table" }, make("table", attributes, make("thead", {}, row(head, "th")), make("tbody", {}, ...rows.map((cells) => row(cells, "td")))));
  }
  function summary(moment) {
    const measured = evaluation(moment);
    if (!measured) return make("p", {}, "Nothing is measured yet at this step.");
    const rows = measured.models.map((model, n) => [names[n], ...GROUPS.map(([group]) => around(model.auc[group], area)), ...GROUPS.map(([group]) => (model.lift ? around(model.lift[group], signed) : "–"))]);
    return table(["Model", ...GROUPS.map(([, name]) => `AUC, ${name.toLowerCase()}`), ...GROUPS.map(([, name]) => `difference, ${name.toLowerCase()}`)], rows, { id: "summary" });
  }
  /** Every figure of a moment with all of its digits: what, of which model, of whom, value, standard error. */
  function everything(moment) {
    const rows = [];
    const add = (figure, model, of, value, error) => rows.push([figure, model, of, exact(value), exact(error)]);
    for (const measured of [evaluation(moment), moment.isFinal ? streaming : null].filter(Boolean)) {
      const on = measured.kind === "whole" ? "final test" : measured.kind === "streaming" ? "streaming test" : `probe set, step ${measured.step}`;
      measured.models.forEach((model, n) => {
        for (const [group, name] of GROUPS) add(`AUC, ${on}`, names[n], name, ...model.auc[group]);
        add(`AUC without repeats, ${on}`, names[n], "All users", ...model.without_repeats);
        add(`GAUC, ${on}`, names[n], "All users", ...model.gauc);
        if (model.lift) for (const [group, name] of GROUPS) add(`difference, ${on}`, names[n], name, ...model.lift[group]);
        if (model.lift_without_repeats) add(`difference without repeats, ${on}`, names[n], "All users", ...model.lift_without_repeats);
        if (model.gauc_lift) add(`difference of GAUC, ${on}`, names[n], "All users", ...model.gauc_lift);
      });
    }
    for (const { model, side, probed, tested } of run.clusters) {
      const health = moment.isFinal && tested ? tested : lastUntil(probed, moment.step);
      if (!health) continue;
      const name = run.models.find(({ key }) => key === model).name;
      for (const key of ["positives", "hit_rate_1", "hit_rate_2", "perplexity_1", "perplexity_2", "top_share", "relative_error", "nmi", "purity"]) add(`clusters: ${key}`, name, side, health[key]);
      for (const [group, who] of GROUPS) add("clusters: stopped", name, who, health.stopped[group]);
    }
    const last = lastUntil(run.losses, moment.step, ([step]) => step);
    last?.[1].forEach((all, n) => all.forEach((value, term) => isNumber(value) && add(`${run.terms[term].title}, step ${last[0]}`, names[n], "batch", value)));
    return table(["Figure", "Model", "Whose", "Value", "Standard error"], rows, { id: "everything" });
  }

  // The whole page

  const { data } = run;
  const title = `${names.join(", ")} · ${data ? data.name : "no rows"}`;
  document.title = `A recorded run: ${title}`;
  const isLink = /^https?:/.test(run.link);
  const findings = GROUPS.slice(0, 2).map(([group]) => make("b", { class: group, "data-testid": `finding-${group}` }));
  const reason = make("p", { class: "why", "data-testid": "why" });
  const headline = make("section", { "aria-label": "What the run shows at this step" },
    make("p", { class: "findings" }, "Quiet users: ", findings[0], "  Active users: ", findings[1]), reason);
  const play = make("button", { type: "button", "data-testid": "play" }, "Play");
  const slider = make("input", { type: "range", min: 0, max: Math.max(0, moments.length - 1), value: moments.length - 1, "aria-label": "Step of the run", "data-testid": "scrubber" });
  const place = make("output", { "data-testid": "place" });
  const panel = (heading, ...children) => make("section", { class: "panel" }, make("h2", {}, heading), ...children);
  const raceBox = make("div", { class: "charts" });
  const healthBox = make("div", { class: "small" });
  const lossBox = make("div", { class: "small" });
  const summaryBox = make("div");
  const exactBox = make("div");
  const details = make("details", {}, make("summary", {}, "Every figure of this step, with all of its digits"), exactBox);

  const choice = (label, options, chosen, change) => {
    const select = make("select", { "aria-label": label }, ...options.map((text, n) => make("option", { value: n }, text)));
    select.value = chosen;
    select.addEventListener("change", () => change(Number(select.value)));
    return make("label", {}, `${label} `, select);
  };
  const compared = names.length > 2 ? choice("Compare with the first:", names.slice(1), rival - 1, (n) => {
    rival = n + 1;
    drawRace();
    show();
  }) : null;
  const OF = { users: (name) => `users of ${name}`, items: (name) => `items of ${name}` };
  const whose = run.clusters.map(({ model, side }) => OF[side](run.models.find(({ key }) => key === model).name));
  const chosen = run.clusters.length > 1 ? choice("Whose:", whose, 0, (n) => {
    drawHealth(n);
    show();
  }) : null;

  const parts = { race: [], health: [], losses: losses(), field: run.pictures.length > 0 ? [field()] : [] };
  const put = (box, all) => box.replaceChildren(...all.map(({ element }) => element));
  const drawRace = () => put(raceBox, (parts.race = race()));
  const drawHealth = (n) => put(healthBox, (parts.health = clusters(n)));
  drawRace();
  if (run.clusters.length > 0) drawHealth(0);
  put(lossBox, parts.losses);

  // No command and no link holds a branch: both would begin with its last settings.
  const branched = () => [
    make("p", { "data-testid": "branched" }, `It was branched on the page, at step ${count(run.course.at(-1).step)}, so no command makes it again.`),
    ...run.course.map(({ step, settings }) => make("p", {}, `Until step ${count(step)}: `, settings.length > 0
      ? make("code", { translate: "no" }, settings.map(([key, value]) => `${key}=${value}`).join(" "))
      : "the same settings.")),
  ];

  // A text of its own for each sentence, so that each is translated for itself.
  const origin = data ? [`${count(data.rows)} rows of ${count(data.users)} users and ${count(data.items)} items`, data.is_synthetic ? ", synthetic: no real user is in them. " : ". "] : [];
  fill(document.getElementById("app"), {}, [
    make("h1", {}, title),
    make("section", { class: "recorded", "aria-label": "Where it comes from" },
      make("p", {}, make("strong", {}, "A recorded run"), ` of ${run.made}, by ${run.program}. `, run.device ? `Device: ${run.device}. ` : null, ...origin, "Nothing is computed here, and this file asks nobody for anything."),
      ...(run.course.length > 0 ? branched() : [make("p", {}, "To make it again: ", make("code", { "data-testid": "command", translate: "no" }, run.command))]),
      make("p", {}, run.course.length > 0 ? "Its last settings, live and from the start: " : isLink ? "To see it live: " : "To see it live, put this behind the page's address: ", isLink ? make("a", { href: run.link, rel: "noopener noreferrer", translate: "no" }, run.link) : make("code", { translate: "no" }, run.link))),
    run.failure ? make("p", { class: "failure" }, `It did not end. ${run.failure.what} ${run.failure.detail}`) : null,
    make("div", { class: "bar" }, play, slider, place),
    headline,
    make("div", { class: "panels" },
      panel("The race", make("p", { class: "how" }, "AUC on held-out rows: .5 is chance. Bands are 95 % intervals."), compared, raceBox),
      parts.field.length > 0 ? panel("Users finding their clusters", parts.field[0].element) : null),
    panel("Figures at this step", summaryBox, details),
    run.clusters.length > 0 ? panel("Are the clusters healthy?", chosen, healthBox) : null,
    parts.losses.length > 0 ? panel("The losses", lossBox) : null,
    panel("Settings", make("details", {}, make("summary", {}, "All settings of the run"), table(["Key", "Value"], run.settings, { class: "words", translate: "no" }))),
    make("p", { class: "how" }, "Keys: Space plays and pauses, the arrows go a step back and on, Home and End to its ends."),
  ]);

  let timer = null;
  const at = () => Number(slider.value);
  function show() {
    const moment = moments[at()];
    if (!moment) return;
    const where = moment.isFinal ? `final test, after step ${count(moment.step)}` : `step ${count(moment.step)} of ${count(length)}`;
    place.textContent = where;
    slider.setAttribute("aria-valuetext", where);
    GROUPS.slice(0, 2).forEach(([group], n) => (findings[n].textContent = `${verdict(finding(moment, group))}.`));
    reason.textContent = why(moment);
    for (const { update } of Object.values(parts).flat()) update(moment);
    summaryBox.replaceChildren(summary(moment));
    if (details.open) exactBox.replaceChildren(everything(moment));
  }
  function go(to) {
    slider.value = Math.min(Math.max(to, 0), moments.length - 1);
    show();
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    headline.setAttribute("aria-live", "polite");
  }
  function toggle() {
    if (timer) return stop();
    if (at() === moments.length - 1) go(0);
    // While it moves a screen reader would never end.
    headline.setAttribute("aria-live", "off");
    play.textContent = "Pause";
    const pause = Math.max(50, LENGTH / moments.length);
    const each = Math.max(1, Math.round((moments.length * pause) / LENGTH));
    timer = setInterval(() => {
      go(at() + each);
      if (at() === moments.length - 1) stop();
    }, pause);
  }
  play.addEventListener("click", toggle);
  slider.addEventListener("input", show);
  details.addEventListener("toggle", show);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, summary, a, .scroll")) return;
    const keys = { " ": toggle, ArrowLeft: () => go(at() - 1), ArrowRight: () => go(at() + 1), Home: () => go(0), End: () => go(moments.length - 1) };
    // A button presses itself.
    if (!keys[event.key] || (event.key === " " && event.target === play)) return;
    event.preventDefault();
    keys[event.key]();
  });
  stop();
  show();
})();
