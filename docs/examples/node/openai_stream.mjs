import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8000/v1", apiKey: "YOUR_KEY" });
const messages = [{ role: "user", content: "Hello!" }];
const stream = await client.chat.completions.create({ model: "demo", messages, stream: true });
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
