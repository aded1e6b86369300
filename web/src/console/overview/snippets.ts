// The first request, in three languages, ready to be copied. The key is left to the reader.

export const SNIPPET_LANGUAGES = ["curl", "Python", "Node"] as const;
export type SnippetLanguage = (typeof SNIPPET_LANGUAGES)[number];

/** Code that sends a first request; texts are written as literals of JSON, which all three take. */
export function snippet(kind: SnippetLanguage, baseUrl: string, model: string, hello: string): string {
  const [name, prompt] = [JSON.stringify(model), JSON.stringify(hello)];
  if (kind === "curl") {
    const body = `{"model": ${name}, "stream": true, "messages": [{"role": "user", "content": ${prompt}}]}`;
    return [
      `curl -N ${baseUrl}/chat/completions \\`,
      '  -H "Authorization: Bearer $TOKENFERRY_KEY" \\',
      '  -H "Content-Type: application/json" \\',
      `  -d '${body.replaceAll("'", "'\\''")}'`,
    ].join("\n");
  }
  if (kind === "Python") {
    return [
      "import os",
      "from openai import OpenAI",
      "",
      `client = OpenAI(base_url=${JSON.stringify(baseUrl)}, api_key=os.environ["TOKENFERRY_KEY"])`,
      "stream = client.chat.completions.create(",
      `    model=${name},`,
      `    messages=[{"role": "user", "content": ${prompt}}],`,
      "    stream=True,",
      ")",
      "for chunk in stream:",
      "    if chunk.choices:",
      '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
    ].join("\n");
  }
  return [
    'import OpenAI from "openai";',
    "",
    `const client = new OpenAI({ baseURL: ${JSON.stringify(baseUrl)}, apiKey: process.env.TOKENFERRY_KEY });`,
    "const stream = await client.chat.completions.create({",
    `  model: ${name},`,
    `  messages: [{ role: "user", content: ${prompt} }],`,
    "  stream: true,",
    "});",
    "for await (const chunk of stream) {",
    '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");',
    "}",
  ].join("\n");
}
