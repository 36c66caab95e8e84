"use strict";
// npm `ws` under test: one Redis subscription, each message sent to every open client, as its README broadcasts: a text,
// which `ws` encodes for each client, or with the argument "buffer" one Buffer for all.
const { WebSocket, WebSocketServer } = require("ws");
const { createClient } = require("redis");

const once = process.argv[3] === "buffer";

async function main() {
  const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
  const subscriber = createClient({ url: process.env.BENCH_REDIS_URL });
  await subscriber.connect();
  await subscriber.subscribe("bench", (message) => {
    const data = once ? Buffer.from(message) : message;
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary: false });
    }
  });
}

main();
