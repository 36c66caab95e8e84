"use strict";
// Socket.IO under test, with its Redis adapter: events come from the emitter and go to every socket.
const { createServer } = require("node:http");
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");

async function main() {
  const publisher = createClient({ url: process.env.BENCH_REDIS_URL });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const http = createServer();
  new Server(http, { adapter: createAdapter(publisher, subscriber) });
  http.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
}

main();
