"use strict";
// npm `ws` under test: one Redis subscription, each message sent to every open client, as its README broadcasts.
const { WebSocket, WebSocketServer } = require("ws");
const { createClient } = require("redis");

async function main() {
  const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
  const subscriber = createClient({ url: process.env.BENCH_REDIS_URL });
  await subscriber.connect();
  await subscriber.subscribe("bench", (message) => {
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(message);
    }
  });
}

main();
