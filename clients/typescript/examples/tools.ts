// A request with a tool and an image, cut short by a signal when it takes too long.

import { AbortedError, Tokenferry, type ChatRequest, type ToolCall } from "tokenferry";

const request: ChatRequest = {
  model: "demo",
  messages: [
    { role: "system", content: "간단히 답해 주세요." },
    {
      role: "user",
      content: [
        { type: "text", text: "What is the weather where this was taken?" },
        {
          type: "image_url",
          image_url: { url: "data:image/png;base64,iVBORw0KGgo=", detail: "low" },
        },
      ],
    },
  ],
  tools: [
    {
      type: "function",
      function: {
        name: "weather",
        parameters: { type: "object", properties: { city: { type: "string" } } },
      },
    },
  ],
  tool_choice: "auto",
};

const client = new Tokenferry();
try {
  const { toolCalls, text } = await client
    .stream(request, { signal: AbortSignal.timeout(20_000), recovery: "continue" })
    .final();
  const call: ToolCall | undefined = toolCalls[0];
  console.log(call ? `${call.name}(${call.arguments})` : `no call, but ${text.length} characters`);
} catch (error) {
  if (!(error instanceof AbortedError)) throw error;
  console.log("it took too long");
} finally {
  client.close();
}
