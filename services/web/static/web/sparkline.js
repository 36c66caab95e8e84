// A sparkline: the last minutes of one number as a line. Drawn as SVG.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 28;
// Keeps the width of the line within the picture.
const MARGIN = 2;

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** A line through `values`, oldest first, on a scale from 0 to the greatest; `room` is the maximum number of values. */
export function points(values, room) {
  const greatest = Math.max(...values, 0);
  const step = (WIDTH - 2 * MARGIN) / Math.max(room - 1, 1);
  return values
    .map((value, i) => {
      const x = WIDTH - MARGIN - (values.length - 1 - i) * step;
      const y = HEIGHT - MARGIN - (greatest ? value / greatest : 0) * (HEIGHT - 2 * MARGIN);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}

export class Sparkline {
  #line = shape("polyline", { class: "spark-line" });
  #room;

  constructor(room) {
    this.#room = room;
    this.element = shape("svg", {
      class: "spark",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      // Screen readers read the figure beside it.
      "aria-hidden": "true",
    });
    const base = shape("line", { class: "spark-base", x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 });
    this.element.append(base, this.#line);
  }

  show(values) {
    this.#line.setAttribute("points", points(values.slice(-this.#room), this.#room));
  }
}
