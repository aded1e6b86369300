import WebSocket from "ws";

const headers = { Authorization: "Bearer YOUR_KEY" };
const socket = new WebSocket("ws://127.0.0.1:8000/v1/stream", { headers });
socket.on("open", () => {
  const messages = [{ role: "user", content: "Hello!" }];
  socket.send(JSON.stringify({ model: "demo", messages }));
});
socket.on("message", (frame) => {
  const chunk = JSON.parse(frame);
  if (chunk.error) console.error(chunk.error.message);
  process.stdout.write(chunk.choices[0].delta.content);
  if (chunk.done) socket.close();
});
