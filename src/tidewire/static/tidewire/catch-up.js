// Reloads data after events were lost for good, however long the server takes to answer: one run at a time, followed by
// another if more events were lost during it.

// Many pages may miss the same events at the same moment, so their requests must be spread over time.
const SPREAD_MS = 3000;
const LONGEST_MS = 60_000;
// A request that takes longer is aborted; otherwise one that hangs would prevent all later runs.
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

// Fetches the page at `url` as the server currently renders it. Null if there is no such page; throws without a
// response.
export async function fetchPage(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
  if (response.status === 404) return null;
  if (!response.ok || response.redirected) throw new Error(`${response.status} for ${url}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}
