// Makes up for events that cannot be had again, however long the server takes to answer: one go at a time, and another
// if more was missed during it.

// Many pages miss the same events at the same moment; they need not all ask the server in that moment.
const SPREAD_MS = 3000;
const LONGEST_MS = 60_000;
// A request that takes longer is given up; without that, one that hangs would end all catching up.
export const ANSWER_MS = 15_000;

export class CatchUp {
  #work;
  #wanted = false;
  #running = false;

  constructor(work) {
    this.#work = work;
  }

  async start() {
    this.#wanted = true;
    if (this.#running) return;
    this.#running = true;
    let spread = SPREAD_MS;
    while (this.#wanted) {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * spread));
      this.#wanted = false;
      try {
        await this.#work();
      } catch {
        this.#wanted = true;
        spread = Math.min(LONGEST_MS, spread * 2);
      }
    }
    this.#running = false;
  }
}

// The page at `url` as the server renders and escapes it now. Null where there is no such page; throws without an answer.
export async function fetchPage(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
  if (response.status === 404) return null;
  if (!response.ok || response.redirected) throw new Error(`${response.status} for ${url}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}
