"use strict";
// Measures the deliveries of a run independently: with npm `ws` and Node's own clock, without code of the load test.
// node crosscheck.js URL ORIGIN < cookies.json; on SIGTERM it prints its deliveries as [time, milliseconds].
const { readFileSync } = require("fs");
const { WebSocket } = require("ws");

const [url, origin] = process.argv.slice(2);
const cookies = JSON.parse(readFileSync(0, "utf8"));
const seen = { sockets: 0, closed: 0, gaps: 0, deliveries: [] };

for (const cookie of cookies) {
  let offset = null;
  const socket = new WebSocket(url, { origin, headers: { Cookie: cookie } });
  socket.on("open", () => seen.sockets++);
  socket.on("close", () => seen.closed++);
  socket.on("error", (error) => console.error(String(error)));
  socket.on("message", (data) => {
    // Before the text is parsed, and to a hundredth of a millisecond, which Date cannot give.
    const now = performance.timeOrigin + performance.now();
    const event = JSON.parse(data);
    if (event.type === "ping") socket.send('{"type":"pong"}');
    if (event.type !== "notification.created") return;
    if (offset !== null && event.offset !== offset + 1) seen.gaps++;
    offset = event.offset;
    // An ISO time has microseconds; Date.parse keeps milliseconds of them.
    const micros = Number((event.at.match(/\.\d{3}(\d{1,3})/) || [0, "0"])[1].padEnd(3, "0"));
    seen.deliveries.push([now / 1000, now - (Date.parse(event.at) + micros / 1000)]);
  });
}

process.on("SIGTERM", () => process.stdout.write(JSON.stringify(seen), () => process.exit(0)));
