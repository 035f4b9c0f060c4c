// The TypeScript SDK 1.x over HTTP: URL and key are its arguments; it says what it has met, as JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema, ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const [url, key, write] = process.argv.slice(2);
const requestInit = { headers: { Authorization: `Bearer ${key}` } };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
const client = new Client({ name: "ts1", version: "1" }, { capabilities: { elicitation: {} } });
const met = { asked: 0, progress: 0 };
client.setRequestHandler(ElicitRequestSchema, async () => {
  met.asked += 1;
  return { action: "accept", content: { confirm: true } };
});
const changed = new Promise((resolve) => client.setNotificationHandler(ResourceUpdatedNotificationSchema, resolve));
await client.connect(transport);
met.tools = (await client.listTools()).tools.length;
const listed = await client.callTool({ name: "list_users", arguments: { limit: 1 } }, undefined, {
  onprogress: () => (met.progress += 1),
});
met.rows = listed.structuredContent.result_count;
met.written = (await client.callTool({ name: "proxy_request", arguments: JSON.parse(write) })).structuredContent.status;
await client.subscribeResource({ uri: "pingone://changes" });
await client.callTool({ name: "sync_directory", arguments: {} });
met.resources = (await client.listResources()).resources.length;
met.prompts = (await client.listPrompts()).prompts.length;
await transport.terminateSession();
await client.close();
console.log(JSON.stringify(met));
