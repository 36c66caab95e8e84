// The operations page: one card per node, updated in place, so that the focus is not lost.

import { element, isolated } from "./people.js";
import { Sparkline } from "./sparkline.js";

// The same as in a node's report (tidewire/contrib/operations/reporter.py).
const TRAIL_LENGTH = 60;
const FIGURES = [
  ["connections", "Sockets", "connections_trail"],
  ["deliveries", "Deliveries a second", "deliveries_trail"],
  ["latency", "Delivery p99", "latency_trail"],
];
const FACTS = [
  ["users", "Users"],
  ["churn", "Connects, closes a second"],
  ["lag", "Loop lag p99"],
  ["backlog", "Waiting for slow sockets"],
  ["up", "Up"],
];

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const milliseconds = (value) => (value === undefined ? "–" : `${number.format(value)} ms`);

function duration(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

function bytes(count) {
  return count < 1024 ? `${count} B` : `${number.format(count / 1024)} KiB`;
}

function texts(node) {
  return {
    connections: number.format(node.connections),
    deliveries: number.format(node.deliveries_per_second),
    latency: milliseconds(node.delivery_p99_ms),
    users: number.format(node.users),
    churn: `${number.format(node.connects_per_second)}, ${number.format(node.closes_per_second)}`,
    lag: milliseconds(node.lag_p99_ms),
    backlog: bytes(node.backlog_bytes),
    up: duration(node.up_seconds),
  };
}

function stateOf(node) {
  if (node.silent) return "silent";
  return node.state === "listening" && node.stale ? "stale" : node.state;
}

const SAID = {
  listening: "Listening",
  stale: "Without Redis",
  draining: "Draining",
  drained: "Drained",
  silent: "Silent",
};

class Card {
  #fields = new Map();
  #sparks = new Map();
  #state = element("span", "node-state");
  #progress = element("progress", "node-progress");
  #left = element("p", "meta");
  #drain = element("a", "button is-ghosted is-small", "Drain…");

  constructor(name, url) {
    this.element = element("li", "node");
    this.element.dataset.node = name;
    this.#drain.href = `${url}${encodeURIComponent(name)}/drain/`;
    this.#drain.setAttribute("aria-label", `Drain ${name}`);
    this.#progress.setAttribute("aria-label", `Drain of ${name}`);
    const head = element("header", "node-head");
    head.append(element("h3", "", name), this.#state, this.#drain);
    this.element.append(head, this.#progress, this.#left, this.#figures(), this.#facts());
  }

  show(node) {
    const state = stateOf(node);
    this.element.dataset.state = state;
    this.#state.textContent = SAID[state] ?? state;
    this.#drain.hidden = node.state !== "listening" || node.silent === true;
    this.#showDrain(node);
    for (const [key, text] of Object.entries(texts(node))) this.#fields.get(key).textContent = text;
    for (const [key, , trail] of FIGURES) this.#sparks.get(key).show(node[trail] ?? []);
  }

  #showDrain(node) {
    const drains = node.state !== "listening";
    this.#progress.hidden = this.#left.hidden = !drains;
    if (!drains) return;
    this.#progress.max = Math.max(node.drain_from ?? 0, 1);
    this.#progress.value = this.#progress.max - node.connections;
    this.#left.textContent =
      node.state === "drained"
        ? `All of ${node.drain_from} sockets are closed; its supervisor starts it again.`
        : `${node.connections} of ${node.drain_from} sockets are still to be closed.`;
  }

  #figures() {
    const made = element("dl", "figures");
    for (const [key, label] of FIGURES) {
      const spark = new Sparkline(TRAIL_LENGTH);
      this.#sparks.set(key, spark);
      const value = element("dd");
      value.append(this.#field(key, "figure"), spark.element);
      const pair = element("div");
      pair.append(element("dt", "", label), value);
      made.append(pair);
    }
    return made;
  }

  #facts() {
    const made = element("dl", "facts");
    for (const [key, label] of FACTS) {
      const value = element("dd");
      value.append(this.#field(key, ""));
      const pair = element("div");
      pair.append(element("dt", "", label), value);
      made.append(pair);
    }
    return made;
  }

  #field(key, className) {
    const made = element("span", className);
    made.dataset.field = key;
    this.#fields.set(key, made);
    return made;
  }
}

export function operationsPage({ open }) {
  const url = document.body.dataset.operationsUrl;
  const list = document.querySelector("[data-nodes]");
  const nobody = document.querySelector("[data-no-nodes]");
  const cards = new Map();
  const total = (name, text) => (document.querySelector(`[data-total="${name}"]`).textContent = text);
  const sum = (nodes, field) => number.format(nodes.reduce((all, node) => all + node[field], 0));

  function showTotals(nodes) {
    const alive = nodes.filter((node) => !node.silent && node.state !== "drained");
    total("nodes", number.format(alive.length));
    total("connections", sum(alive, "connections"));
    total("connects", sum(alive, "connects_per_second"));
    total("deliveries", sum(alive, "deliveries_per_second"));
    const known = alive.map((node) => node.delivery_p99_ms).filter((value) => value !== undefined);
    total("latency", milliseconds(known.length ? Math.max(...known) : undefined));
  }

  open("/ws/operations/", {
    on: {
      "operations.status": ({ nodes }) => {
        nobody.hidden = nodes.length > 0;
        const runs = new Set(nodes.map((node) => node.run));
        for (const [run, card] of cards) {
          if (runs.has(run)) continue;
          card.element.remove();
          cards.delete(run);
        }
        nodes.forEach((node, i) => {
          if (!cards.has(node.run)) cards.set(node.run, new Card(node.node, url));
          const card = cards.get(node.run);
          card.show(node);
          // Moved only if necessary, because moving an element removes the focus from it.
          if (list.children[i] !== card.element) list.insertBefore(card.element, list.children[i] ?? null);
        });
        showTotals(nodes);
      },
    },
  });

  return {
    users(event) {
      total("users", number.format(event.count));
      const more = event.count - event.names.length;
      const names = event.names.map(isolated).join(", ");
      document.querySelector("[data-names]").textContent = more > 0 ? `${names} and ${more} more` : names;
    },
  };
}
