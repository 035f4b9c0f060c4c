
"use strict";
// The directory browser inside a host of MCP Apps: JSON-RPC over postMessage, by hand. Whatever a directory says gets
// onto the page as text, and in no other way.

const APPS = "2026-01-26";
const TYPING = 200; // milliseconds without a key before a search begins
const PATIENCE = 60_000; // milliseconds for an answer of the host
const SYNCING = 2_000; // milliseconds between two looks at a sync
const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\u2028\u2029]/gu;

const $ = (id) => document.getElementById(id);

/** Return an element with texts and elements in it. */
function make(tag, named, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(named ?? {})) {
    if (name === "class") made.className = value;
    else if (name === "click") made.addEventListener("click", value);
    else made.setAttribute(name, value);
  }
  made.append(...inside.filter((one) => one !== null && one !== undefined));
  return made;
}

const text = (value) => (typeof value === "string" ? value : "");
const list = (value) => (Array.isArray(value) ? value : []);

// The host

let origin = null; // of the host, from its first answer on
let asked = 0;
const waiting = new Map();

function post(message) {
  const target = origin === null || origin === "null" ? "*" : origin;
  window.parent.postMessage({ jsonrpc: "2.0", ...message }, target);
}

const notify = (method, params) => post({ method, params });

/** Ask the host; the answer comes, or the promise fails with a sentence. */
function ask(method, params) {
  const id = ++asked;
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => settle(id, "reject", new Error("The host has not answered.")), PATIENCE);
    waiting.set(id, { resolve, reject, late });
    post({ id, method, params });
  });
}

function settle(id, how, value) {
  const one = waiting.get(id);
  if (!one) return false;
  waiting.delete(id);
  clearTimeout(one.late);
  one[how](value);
  return true;
}

window.addEventListener("message", (event) => {
  if (event.source !== window.parent || (origin !== null && event.origin !== origin)) return;
  const message = event.data;
  if (typeof message !== "object" || message === null || message.jsonrpc !== "2.0") return;
  if (typeof message.method === "string") {
    if (message.id === undefined) hear(message.method, message.params ?? {});
    else answer(message.id, message.method);
  } else if (message.error) {
    settle(message.id, "reject", new Error(text(message.error.message) || "The host refused."));
  } else if (settle(message.id, "resolve", message.result ?? {})) {
    origin ??= event.origin;
  }
});

function answer(id, method) {
  if (method === "ui/resource-teardown") stop();
  else if (method !== "ping") return post({ id, error: { code: -32601, message: "There is no such method." } });
  post({ id, result: {} });
}

function hear(method, params) {
  if (method === "ui/notifications/tool-input") begin(params.arguments ?? {});
  else if (method === "ui/notifications/tool-result") opened(params);
  else if (method === "ui/notifications/tool-cancelled") fail("The call was cancelled.", []);
  else if (method === "ui/notifications/host-context-changed") adopt(params);
}

/** Call a tool of our server; what it answers are facts, and a failure is an error with its sentence. */
async function call(name, given) {
  const result = await ask("tools/call", { name, arguments: given });
  const said = list(result.content).map((one) => text(one?.text)).join("\n");
  if (result.isError) throw new Error(said || "The server refused.");
  return result.structuredContent ?? JSON.parse(said);
}

// How the host looks

let context = {};

function adopt(changed) {
  context = { ...context, ...changed };
  const root = document.documentElement;
  if (context.theme === "light" || context.theme === "dark") root.style.colorScheme = context.theme;
  const variables = changed.styles?.variables ?? {};
  // A text on a ground of ours could not be read where only one of the two is the host's.
  const both = ["--color-background-primary", "--color-text-primary"].every((name) => variables[name]);
  for (const [name, value] of Object.entries(variables)) {
    if (name.startsWith("--") && typeof value === "string" && (both || !name.startsWith("--color-"))) {
      root.style.setProperty(name, value);
    }
  }
  if (typeof context.locale === "string") root.dataset.locale = context.locale;
  const other = context.displayMode === "fullscreen" ? "inline" : "fullscreen";
  $("larger").hidden = !list(context.availableDisplayModes).includes(other);
  $("larger").textContent = other === "fullscreen" ? "Full screen" : "Smaller";
  measure();
}

/** Return a time in the zone and the words of who reads it. */
function when(at) {
  const time = make("time", { datetime: text(at) }, text(at));
  const moment = new Date(text(at));
  if (Number.isNaN(moment.valueOf())) return time;
  time.title = text(at);
  const style = { dateStyle: "medium", timeStyle: "short" };
  try {
    time.textContent = new Intl.DateTimeFormat(context.locale, { ...style, timeZone: context.timeZone }).format(moment);
  } catch {
    time.textContent = new Intl.DateTimeFormat(undefined, style).format(moment);
  }
  return time;
}

const number = (value) => new Intl.NumberFormat("en").format(value);

let size = "";

function measure() {
  const root = document.documentElement;
  const before = root.style.height;
  root.style.height = "max-content";
  const height = Math.ceil(root.getBoundingClientRect().height);
  root.style.height = before;
  const now = `${window.innerWidth} ${height}`;
  if (origin === null || now === size) return;
  size = now;
  notify("ui/notifications/size-changed", { width: window.innerWidth, height });
}

const sizes = new ResizeObserver(() => requestAnimationFrame(measure));

// The list

let has = { begun: false, filters: false, stopped: false };
let pages = [null]; // the cursors that led here; null: the first page
let turn = 0; // only the newest question is shown
let typing = 0;
let from = null; // the row that a person was opened from

const chosen = () => ({
  query: $("query").value.trim(),
  status: $("status").value,
  population: $("population").value,
  group: $("group").value,
});
const isFiltered = () => Object.values(chosen()).some((value) => value !== "");

function begin(given) {
  if (has.begun) return;
  has.begun = true;
  $("query").value = text(given.query).replace(HIDDEN, "").slice(0, 200);
  if (given.view === "removed") option($("status"), "removed", "Removed", true);
  if (has.server) show();
}

/** The answer of the call that has opened the view: its failure matters, and its rows where nothing can be asked. */
function opened(result) {
  if (result.isError && !has.server) return fail(list(result.content).map((one) => text(one?.text)).join("\n"), []);
  if (has.server) return begin({});
  const facts = result.structuredContent ?? {};
  const people = list(facts.result).map((one) => ({
    name: one.name ?? one.username ?? one.email ?? one.id,
    login: one.name ? one.username : null,
    email: one.email,
    about: one.department,
    state: { label: [one.status, ...list(one.status_reasons)].join(", "), kind: "other" },
  }));
  for (const id of ["query", "status", "population", "group"]) $(id).disabled = true;
  rows(people);
  count(facts);
}

/** Ask for a page, and show it; what was asked before is forgotten. */
async function show({ cursor = null, focus = null } = {}) {
  if (has.stopped) return;
  const mine = ++turn;
  $("list").setAttribute("aria-busy", "true");
  const given = { ...chosen(), cursor: cursor ?? "", with_filters: !has.filters };
  try {
    const facts = await call("directory_view", given);
    if (mine !== turn || has.stopped) return;
    if (facts.filters) offer(facts.filters);
    $("list").replaceChildren();
    rows(list(facts.people), facts);
    count(facts);
    note(facts.copy);
    turnable(facts.next_cursor);
    if (focus) focus();
  } catch (problem) {
    if (mine === turn && !has.stopped) failed(problem, () => (problem.message.includes("CURSOR]") ? search() : show({ cursor, focus })));
  } finally {
    if (mine === turn) $("list").removeAttribute("aria-busy");
  }
}

function rows(people, facts = {}) {
  $("list").removeAttribute("aria-busy");
  if (people.length === 0) {
    $("list").replaceChildren(make("p", {}, nobody(facts.copy)));
    return;
  }
  const all = people.map((one) => make("li", {}, row(one)));
  $("list").replaceChildren(make("ol", { class: "rows", role: "list" }, ...all));
}

function row(one) {
  const state = one.state ?? {};
  const inside = [
    make(
      "span",
      {},
      make("span", { class: "name", dir: "auto" }, text(one.name)),
      make("span", { class: "fine", dir: "auto" }, text(one.login)),
    ),
    make(
      "span",
      { class: "more" },
      make("span", { dir: "auto" }, text(one.about)),
      make("span", { class: "fine", dir: "auto" }, text(one.email)),
    ),
    make("span", { class: `state ${kind(state)}` }, text(state.label)),
  ];
  if (!has.server) return make("div", { class: "row" }, ...inside);
  return make("button", { class: "row", type: "button", click: (event) => look(one.id, event.currentTarget) }, ...inside);
}

const KINDS = ["active", "inactive", "invited", "deleted"];
const kind = (state) => (KINDS.includes(state.kind) ? state.kind : "other");

function nobody(copy) {
  const lacks = list(copy?.lacks).length > 0;
  if (!isFiltered()) return `The copy has nobody in what is served${lacks ? ", but it is not whole" : ""}.`;
  const but = lacks ? ", but the copy is not whole: they may be there all the same" : "";
  return `Nobody in the copy is like that${but}. Fewer letters find more; who was created since the last sync comes with the next one.`;
}

function count(facts) {
  const found = isFiltered() ? " found" : "";
  const people = facts.total === 1 ? "person" : "people";
  $("said").textContent =
    typeof facts.total === "number"
      ? `${number(facts.total)} ${people}${found}`
      : `More than ${number((facts.at_least ?? 1) - 1)} people${found}`;
}

function turnable(next) {
  $("pages").hidden = pages.length === 1 && !next;
  $("back").disabled = pages.length === 1;
  $("on").disabled = !next;
  $("on").onclick = () => {
    pages.push(next);
    show({ cursor: next, focus: atTop });
  };
}

function atTop() {
  $("list").querySelector("button.row")?.focus();
}

/** Search from the first page on. */
function search() {
  pages = [null];
  show();
}

function option(select, value, label, isChosen = false) {
  const known = [...select.options].find((one) => one.value === value);
  if (known) known.textContent = label;
  else select.append(make("option", { value }, label));
  if (isChosen) select.value = value;
}

/** Offer what there is to choose, with how many have it. */
function offer(filters) {
  has.filters = true;
  const counted = (one) => `${text(one.name)}${typeof one.count === "number" ? ` (${number(one.count)})` : ""}`;
  for (const [id, name] of [["status", "statuses"], ["population", "populations"], ["group", "groups"]]) {
    for (const one of list(filters[name])) option($(id), text(one.value), counted(one));
  }
  if (filters.removed) option($("status"), "removed", `Removed (${number(filters.removed)})`);
  const cut = Object.keys(filters.truncated ?? {}).filter((name) => ["populations", "groups"].includes(name));
  $("few").hidden = cut.length === 0;
  $("few").textContent = `Not all ${cut.join(" and ")} are offered here: there are too many.`;
}

/** Say how old what is shown is, and what it lacks. */
function note(copy) {
  if (!copy) return;
  const age = text(copy.age) ? `, ${copy.age}` : "";
  const lacks = list(copy.lacks).map((one) => make("li", {}, text(one)));
  const what = copy.is_held ? "A sync waits for a person, and the copy is not whole" : "The copy is not whole";
  const summary = make("summary", {}, `${what}: what is not found here may be there all the same`);
  const details = make("details", copy.is_held ? { open: "" } : {}, summary, make("ul", {}, ...lacks));
  $("copy").replaceChildren(
    make("p", {}, "From the local copy: as the directory was ", when(copy.synced_at), `${age}.`),
    ...(lacks.length > 0 ? [details] : []),
  );
}

// What went wrong

function failed(problem, again) {
  const said = text(problem.message);
  const buttons = [make("button", { class: "quiet", type: "button", click: again }, "Try again")];
  if (said.includes("[NO_REPLICA]")) {
    buttons.unshift(make("button", { class: "quiet", type: "button", click: () => sync(again) }, "Read the directory now"));
  }
  fail(said, buttons);
}

function fail(said, buttons) {
  const place = $("person").hidden ? $("list") : $("person");
  $("list").removeAttribute("aria-busy");
  if (place === $("list")) $("said").textContent = "";
  place.replaceChildren(
    make(
      "div",
      { class: "notice", role: "alert" },
      make("p", {}, said.replace(/ *\[[A-Z_]+\]/g, "")),
      buttons.length > 0 ? make("p", {}, ...buttons) : null,
    ),
    ...(place === $("person") ? [leave()] : []),
  );
}

/** Have the copy made, and look at it again and again until it is. */
async function sync(then) {
  if (has.stopped) return;
  fail("The directory is being read. This takes a few seconds for each thousand people.", []);
  try {
    let state = "running";
    while (state === "running" && !has.stopped) {
      ({ state } = await call("sync_directory", {}));
      if (state === "running") await new Promise((done) => setTimeout(done, SYNCING));
    }
    if (!has.stopped) then();
  } catch (problem) {
    failed(problem, then);
  }
}

// One person

async function look(id, opener) {
  if (has.stopped) return;
  const mine = ++turn;
  if (opener?.classList.contains("row")) from = opener;
  opener?.setAttribute("aria-busy", "true");
  try {
    const facts = await call("directory_view", { person: id });
    if (mine !== turn || has.stopped) return;
    $("browse").hidden = true;
    $("person").hidden = false;
    $("person").replaceChildren(...described(facts.person ?? {}));
    note(facts.copy);
    $("who").focus();
    document.documentElement.scrollTop = 0;
  } catch (problem) {
    if (mine !== turn || has.stopped) return;
    $("browse").hidden = true;
    $("person").hidden = false;
    failed(problem, () => look(id));
    $("person").querySelector("button")?.focus();
  } finally {
    opener?.removeAttribute("aria-busy");
  }
}

const leave = () => make("button", { class: "quiet", type: "button", click: toList }, "All people");

function toList() {
  turn += 1;
  $("person").hidden = true;
  $("person").replaceChildren();
  $("browse").hidden = false;
  $("list").removeAttribute("aria-busy");
  (from?.isConnected ? from : $("query")).focus();
}

/** Return what there is to say of a person. */
function described(one) {
  const state = one.state ?? {};
  const made = [
    leave(),
    make(
      "header",
      {},
      make(
        "div",
        {},
        make("h1", { id: "who", tabindex: "-1", dir: "auto" }, text(one.name) || text(one.id)),
        make("p", { class: "about", dir: "auto" }, text(one.about)),
      ),
      make("span", { class: `state ${kind(state)}` }, text(state.label)),
    ),
  ];
  for (const notice of list(one.notices)) {
    const since = notice.at ? [" Since ", when(notice.at), "."] : [];
    made.push(make("p", { class: "notice" }, text(notice.text), ...since));
  }
  made.push(part("Why this status", lines(list(one.why))));
  const raw = list(one.raw);
  if (raw.length > 0) {
    const said = raw.map((pair) => `${text(pair.name)} ${text(pair.value)}`).join(", ");
    made.push(make("p", { class: "fine" }, `${text(one.provider)} says: ${said}.`));
  }
  made.push(part("Contact and account", pairs(list(one.fields))));
  const reports = one.reports ? `${number(one.reports)} ${one.reports === 1 ? "person reports" : "people report"} to them.` : "";
  made.push(part("Manager", make("p", {}, manager(one.manager), reports ? ` ${reports}` : "")));
  const groups = list(one.groups).map((each) => [text(each.name), text(each.how)]);
  made.push(part("Groups", ...noted(one.groups_note), named(groups)));
  const roles = list(one.roles).map((each) => text(each.name));
  made.push(part("Administrator roles", ...noted(one.roles_note), lines(roles)));
  if (list(one.custom).length > 0) made.push(part("Custom attributes", pairs(one.custom)));
  made.push(changes(one));
  const cut = Object.entries(one.truncated ?? {}).map(([name, how]) =>
    how && how.of ? `${name.replaceAll("_", " ")} (${number(how.shown)} of ${number(how.of)})` : name.replaceAll("_", " "),
  );
  if (cut.length > 0) made.push(make("p", { class: "fine" }, `Not all of it had room: ${cut.join(", ")}.`));
  return made;
}

function manager(one) {
  if (!one) return "No manager is entered.";
  if (!one.id) return `As it is entered: ${text(one.name)}. The copy knows nobody by that.`;
  return make("button", { class: "link", type: "button", dir: "auto", click: () => look(one.id) }, text(one.name));
}

function changes(one) {
  const known = list(one.changes).map((each) =>
    make("li", {}, `${text(each.what)}, `, when(each.at), make("span", { class: "fine" }, ` (${text(each.evidence)})`)),
  );
  const more = one.change_count > known.length ? [make("p", {}, `The newest ${known.length} of ${number(one.change_count)}.`)] : [];
  const none = known.length === 0 && !one.change_count ? [make("p", {}, "None is known.")] : [];
  const since = make("p", { class: "fine" }, "Changes are written down since ", when(one.known_since), ".");
  return part("Changes", ...more, ...none, make("ul", {}, ...known), since);
}

let parts = 0;

function part(title, ...inside) {
  const id = `part${++parts}`;
  return make("section", { "aria-labelledby": id }, make("h2", { id }, title), ...inside.filter((one) => one.hasChildNodes()));
}

const noted = (said) => (said ? [make("p", {}, text(said))] : []);
const lines = (several) => make("ul", {}, ...several.map((one) => make("li", { dir: "auto" }, one)));
const named = (several) =>
  make("ul", {}, ...several.map(([name, how]) => make("li", { dir: "auto" }, name, make("span", { class: "fine" }, `, ${how}`))));

function pairs(several) {
  const inside = several.flatMap((one) => [
    make("dt", {}, text(one.name)),
    make("dd", { dir: "auto" }, one.at ? when(one.at) : text(one.value)),
  ]);
  return make("dl", {}, ...inside);
}

// Keys

$("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(search, TYPING);
});
for (const id of ["status", "population", "group"]) $(id).addEventListener("change", search);
$("back").addEventListener("click", () => {
  pages.pop();
  show({ cursor: pages.at(-1), focus: atTop });
});
$("larger").addEventListener("click", async () => {
  const mode = context.displayMode === "fullscreen" ? "inline" : "fullscreen";
  try {
    const changed = await ask("ui/request-display-mode", { mode });
    adopt({ displayMode: changed.mode });
  } catch {
    $("larger").hidden = true;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("person").hidden) return toList();
  if (event.key === "Enter" && event.target === $("query")) {
    clearTimeout(typing);
    return search();
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.target instanceof HTMLSelectElement) return;
  const places = [$("query"), ...$("list").querySelectorAll("button.row")];
  const next = places[places.indexOf(document.activeElement) + step];
  if (places.includes(document.activeElement) && next) {
    event.preventDefault();
    next.focus();
  }
});

/** The host takes the view away: nothing goes on. */
function stop() {
  has.stopped = true;
  clearTimeout(typing);
  sizes.disconnect();
  for (const id of [...waiting.keys()]) settle(id, "reject", new Error("The view was closed."));
}

async function meet() {
  const met = await ask("ui/initialize", {
    appInfo: { name: "pingone-directory", version: "1" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    protocolVersion: APPS,
  });
  has.server = Boolean(met.hostCapabilities?.serverTools);
  adopt(met.hostContext ?? {});
  notify("ui/notifications/initialized", {});
  sizes.observe(document.documentElement);
  sizes.observe(document.body);
}

meet().catch((problem) => fail(text(problem.message), []));
