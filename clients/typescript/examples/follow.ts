// Two readers of one answer: the second joins from the start, the first leaves and comes back.

import { Tokenferry, type SavedStream } from "tokenferry";

const client = new Tokenferry();
const other = new Tokenferry();
const stream = client.stream({
  model: "demo",
  messages: [{ role: "user", content: "이야기 하나" }],
});
let chunks = 0;
for await (const _ of stream) if (++chunks === 3) stream.detach();

// What a page would keep in its storage.
const saved = JSON.parse(JSON.stringify(stream)) as SavedStream;
const [mine, theirs] = await Promise.all([
  client.resume(saved).final(),
  other.follow(saved.streamId).text(),
]);
console.log(mine.text === theirs ? `the same ${theirs.length} characters` : "two answers");
client.close();
other.close();
