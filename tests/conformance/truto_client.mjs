// Truto's public SDK for TypeScript as it is: URL, key and the id of a connection are its arguments; it says what it has met.
import * as sdk from "@truto/truto-ts-sdk";

const [url, token, account] = process.argv.slice(2);
const Truto = sdk.default?.default ?? sdk.default;
const truto = new Truto({ baseUrl: url, token });
const of = (resource, more) => ({ unified_model: "user-directory", resource, integrated_account_id: account, ...more });
const met = {};
const users = await truto.unifiedApi.list(of("users", { limit: 200, truto_exclude_fields: ["remote_data"] })).toArray();
met.users = new Set(users.map((user) => user.id)).size;
met.one = (await truto.unifiedApi.get(users[0].id, of("users"))).id === users[0].id;
met.groups = (await truto.unifiedApi.list(of("groups")).toArray()).length > 0;
met.first = (await truto.unifiedApi.list(of("roles", { limit: 1 })).first()).id.length > 0;
const own = { resource: "users", integrated_account_id: account };
const proxied = await truto.proxyApi.list({ ...own, limit: 200 }).toArray();
const [population] = await truto.proxyApi.list({ ...own, resource: "populations" }).toArray();
met.proxy = [proxied.length, population.id.length > 0];
const body = { username: "truto.ts", email: "truto.ts@example.com", population: { id: population.id } };
const made = await truto.proxyApi.create(body, own);
const changed = await truto.proxyApi.update(made.id, { title: "Tester" }, own);
const removed = await truto.proxyApi.delete(made.id, own);
met.gone = await truto.proxyApi.get("a/b", own).catch((error) => error.status ?? error.statusCode ?? String(error));
met.changed = [changed.title, JSON.stringify(removed)];
met.account = (await truto.integratedAccount.get(account)).status;
met.listed = (await truto.integratedAccount.list().toArray()).some((one) => one.id === account);
const invited = { tenant_id: "another", unified_model_id: "user-directory" };
met.link = (await truto.linkToken.createForNewIntegration(invited)).link_token.length > 0;
// What it joins without a slash of its own works with a base that ends in one.
const slashed = new Truto({ baseUrl: `${url}/`, token });
met.refreshed = (await slashed.integratedAccount.refreshCredentials(account)).success;
met.slashed = (await slashed.unifiedApi.list(of("users", { limit: 1 })).first()).id.length > 0;
console.log(JSON.stringify(met));
