// The TypeScript SDK 2.x over HTTP: URL, key, a write and the era are its arguments; it says what it has met, as JSON.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [url, key, write, era] = process.argv.slice(2);
const requestInit = { headers: { Authorization: `Bearer ${key}` } };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
const mode = era === "modern" ? { pin: "2026-07-28" } : era;
const client = new Client(
  { name: "ts2", version: "1" },
  { capabilities: { elicitation: {} }, versionNegotiation: { mode } },
);
const met = { asked: 0, progress: 0 };
client.setRequestHandler("elicitation/create", async () => {
  met.asked += 1;
  return { action: "accept", content: { confirm: true } };
});
await client.connect(transport);
met.tools = (await client.listTools()).tools.length;
const listed = await client.callTool(
  { name: "list_users", arguments: { limit: 1 } },
  { onprogress: () => (met.progress += 1) },
);
met.rows = listed.structuredContent.result_count;
met.written = (await client.callTool({ name: "proxy_request", arguments: JSON.parse(write) })).structuredContent.status;
met.resources = (await client.listResources()).resources.length;
met.prompts = (await client.listPrompts()).prompts.length;
await client.close();
console.log(JSON.stringify(met));
