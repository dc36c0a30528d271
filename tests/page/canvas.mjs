// What a canvas was told to draw. Pixels say little of a chart; what was written, and which marks were set where, says much.

/** Runs in the page before its program: keeps the words and the marks of each canvas's newest drawing, and counts drawings. */
export function watchCanvases() {
  const drawings = new WeakMap();
  const of = (context) => {
    if (!drawings.has(context.canvas)) drawings.set(context.canvas, { words: [], marks: [], strokes: [], flashes: [], number: 0 });
    return drawings.get(context.canvas);
  };
  const prototype = CanvasRenderingContext2D.prototype;
  const after = (name, see) => {
    const original = prototype[name];
    prototype[name] = function (...given) {
      see(of(this), given, this);
      return original.apply(this, given);
    };
  };
  // Of the field: where the rays of a flash begin, in all drawings so far.
  const flashed = /^(#b3168a|rgba\(179, 22, 138,)/;
  const paths = new WeakMap();
  const begin = (drawing, [x, y], context) => {
    if (x > 0 || y > 0) return;
    drawing.number += 1;
    [drawing.words, drawing.marks, drawing.strokes] = [[], [], []];
    drawing.width = context.canvas.clientWidth;
    drawing.height = context.canvas.clientHeight;
  };
  // The field clears its canvas at first, a chart fills it.
  after("clearRect", begin);
  after("fillRect", begin);
  after("fillText", (drawing, [text], context) => drawing.words.push({ text, colour: context.fillStyle }));
  after("arc", (drawing, [x, y, radius]) => drawing.marks.push({ x, y, radius }));
  after("rect", (drawing, [x, y, width, height]) => drawing.marks.push({ x: x + width / 2, y: y + height / 2 }));
  after("beginPath", (_, __, context) => paths.set(context, []));
  after("moveTo", (_, [x, y], context) => paths.get(context)?.push([Math.round(x), Math.round(y)]));
  after("stroke", (drawing, _, context) => {
    drawing.strokes.push(context.strokeStyle);
    if (flashed.test(context.strokeStyle)) drawing.flashes.push(String(paths.get(context)));
  });
  globalThis.drawingOf = (canvas) => drawings.get(canvas) ?? { words: [], marks: [], strokes: [], flashes: [], number: 0 };
}

/** The newest drawing on each canvas that the selector finds. */
export const drawings = (page, selector) =>
  page.locator(selector).evaluateAll((canvases) => canvases.map((canvas) => structuredClone(globalThis.drawingOf(canvas))));

/** The words on these canvases. */
export const words = async (page, selector) => (await drawings(page, selector)).flatMap((drawing) => drawing.words.map(({ text }) => text));

/** Red, green and blue of a pixel of a canvas. */
export const pixel = (page, selector, x, y) =>
  page.locator(selector).first().evaluate((canvas, at) => [...canvas.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3), [x, y]);
