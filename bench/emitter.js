"use strict";
// Publishes through Socket.IO's own emitter; reads JSON lines as event_publisher.py does, and answers in the same way.
const readline = require("node:readline");
const { Emitter } = require("@socket.io/redis-emitter");
const { createClient } = require("redis");

function padded(n, size) {
  // The frame is `42["tick",{...}]`: it must have `size` characters, like those of other servers.
  const event = { n, t: Number(process.hrtime.bigint()), pad: "" };
  const length = JSON.stringify(["tick", event]).length + 2;
  event.pad = "x".repeat(Math.max(size - length, 0));
  return event;
}

async function main() {
  const redis = createClient({ url: process.env.BENCH_REDIS_URL });
  await redis.connect();
  let sent = null;
  // The emitter does not wait for Redis. Other publishers do between one event and the next, so this must wait too.
  const emitter = new Emitter({ publish: (channel, message) => (sent = redis.publish(channel, message)) });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    const started = process.hrtime.bigint();
    for (let n = command.first; n < command.first + command.count; n++) {
      emitter.emit("tick", padded(n, command.bytes));
      await sent;
    }
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    console.log(JSON.stringify({ published: command.count, seconds }));
  }
  process.exit(0);
}

main();
