// Makes pages pleasanter where scripts run; every page works without it.

const zone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Show times in the reader's own zone; the exact one stays as a title. */
function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) {
      time.title = time.textContent;
      time.textContent = zone.format(at);
    }
  }
}

localTimes(document);

// Parts of pages, which the server renders

const FAR = 3000; // pixels beyond the window: rows that are further away are not kept
const NEAR = 900;
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Return a part of a page as elements. Who has to sign in again is led there; who asks too often waits. */
async function part(address, name, signal) {
  const url = new URL(address, location.href);
  url.searchParams.set("part", name);
  for (let turn = 0; turn < 5; turn += 1) {
    const answer = await fetch(url, { signal, credentials: "same-origin" });
    if (answer.redirected) {
      location.reload();
      return new Promise(() => {});
    }
    if (answer.status === 429) {
      await wait(1000 * Math.min(10, Number(answer.headers.get("Retry-After")) || 1));
      continue;
    }
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    const template = document.createElement("template");
    template.innerHTML = await answer.text();
    localTimes(template.content);
    return template.content;
  }
  throw new Error("The server is busy.");
}

/** Say something to who does not see the page change. */
function say(text) {
  const said = document.querySelector("[data-said]");
  if (said) said.textContent = text;
}

/** Show a sentence above a list; `act` is what its button does. */
function news(list, text, label, act) {
  list.querySelector(".news")?.remove();
  const notice = document.createElement("p");
  notice.className = "notice news";
  notice.setAttribute("role", "status");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = label;
  button.addEventListener("click", act);
  notice.append(`${text} `, button);
  list.prepend(notice);
}

// A list that goes on by scrolling: what is far away gives its place to what is near

const chunks = new IntersectionObserver(
  (seen) => {
    for (const one of seen) one.isIntersecting ? comeBack(one.target) : goAway(one.target);
  },
  { rootMargin: `${FAR}px 0px` },
);

function goAway(chunk) {
  if (!chunk.dataset.from || chunk.dataset.away || chunk.contains(document.activeElement)) return;
  chunk.style.height = `${chunk.getBoundingClientRect().height}px`;
  chunk.dataset.away = "yes";
  chunk.replaceChildren();
}

async function comeBack(chunk) {
  if (chunk.dataset.away !== "yes") return;
  chunk.dataset.away = "coming";
  try {
    const rows = (await part(chunk.dataset.from, "rows")).querySelector(".rows");
    chunk.replaceChildren(...(rows?.children ?? []));
    chunk.style.height = "";
    delete chunk.dataset.away;
  } catch {
    chunk.dataset.away = "yes"; // it is tried again when it comes near again
  }
}

const ends = new IntersectionObserver(
  (seen) => {
    for (const one of seen) if (one.isIntersecting) goOn(one.target);
  },
  { rootMargin: `${NEAR}px 0px` },
);

/** Watch the end of a list, and its rows. */
function watch(list) {
  for (const chunk of list.querySelectorAll("ol.rows")) chunks.observe(chunk);
  const more = list.querySelector("a[rel=next]");
  if (more) ends.observe(more);
}

/** Put the page behind a link in the place of the link. */
async function goOn(link) {
  ends.unobserve(link);
  const list = link.closest("[data-live]");
  const from = link.href;
  try {
    const found = await part(from, "rows");
    if (!link.isConnected) return; // somebody has typed meanwhile
    for (const chunk of found.querySelectorAll("ol.rows")) chunk.dataset.from = from;
    found.querySelector(".more a:not([rel])")?.remove();
    link.closest(".more").replaceWith(found);
    watch(list);
  } catch {
    // The link stays, and works by itself.
  }
}

// Searching while somebody types: one question at a time, the last one wins

function find(form) {
  const list = document.getElementById(form.dataset.find);
  let asked = new AbortController();
  const address = () => {
    const given = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    return `${form.getAttribute("action")}${given.size ? `?${given}` : ""}`;
  };
  const look = async () => {
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    const to = address();
    list.setAttribute("aria-busy", "true");
    try {
      const found = await part(to, "results", signal);
      list.replaceChildren(found);
      history.replaceState(null, "", to);
      say(list.querySelector("[data-count]")?.textContent ?? "");
      watch(list);
    } catch (wrong) {
      if (signal.aborted) return;
      news(list, "This could not be loaded.", "Load the page again", () => location.assign(to));
    }
    if (!signal.aborted) list.removeAttribute("aria-busy");
  };
  form.addEventListener("input", (event) => event.target.matches("input") && look());
  form.addEventListener("change", (event) => event.target.matches("select") && look());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  list.addEventListener("pages:refresh", look);
}

for (const form of document.querySelectorAll("form[data-find]")) find(form);

// Arrow keys go from row to row

document.addEventListener("keydown", (event) => {
  if ((event.key !== "ArrowDown" && event.key !== "ArrowUp") || event.altKey || event.ctrlKey || event.metaKey) return;
  const at = document.activeElement;
  const links = (root) => [...root.querySelectorAll(".row a:first-child")];
  let to;
  if (at?.dataset.first && event.key === "ArrowDown") {
    [to] = links(document.getElementById(at.dataset.first));
  } else if (at?.closest(".row")) {
    const all = links(at.closest("[data-live]") ?? document);
    to = all[all.indexOf(at) + (event.key === "ArrowDown" ? 1 : -1)] ?? (event.key === "ArrowUp" ? document.querySelector("[data-first]") : null);
  }
  if (to) {
    event.preventDefault();
    to.focus();
  }
});

// Always current: the server says when there is something new. A page that nobody looks at listens to nothing.

function listen(list) {
  let stream;
  let missed = false;
  const copied = async () => {
    const note = document.querySelector('[data-part="copy"]');
    if (list.dataset.refresh && note) note.replaceChildren(await part(location.href, "copy"));
  };
  /** Whether the list can be read anew without taking away what somebody looks at. */
  const isFresh = () =>
    list.dataset.refresh &&
    !list.querySelector("[data-from]") &&
    scrollY < innerHeight &&
    !list.contains(document.activeElement) &&
    !location.search.includes("after=");
  const changed = async () => {
    await wait(Math.random() * 400); // many pages do not ask at once
    if ("reload" in list.dataset) return location.reload();
    if (isFresh()) {
      list.dispatchEvent(new Event("pages:refresh"));
    } else {
      news(list, "The directory has changed since this was loaded.", "Show it as it is now", () => {
        const now = new URL(location.href);
        now.searchParams.delete("after");
        now.hash = ""; // with one it would be scrolled to, and nothing loaded
        location.assign(now);
      });
    }
    return copied();
  };
  const look = () => {
    if (document.visibilityState === "hidden") {
      stream?.close();
      stream = undefined;
      missed = true;
    } else if (!stream) {
      stream = new EventSource(list.dataset.live);
      stream.addEventListener("listening", (event) => {
        list.setAttribute("data-listening", "");
        if ("reload" in list.dataset && event.data) location.reload(); // the first sync has ended meanwhile
      });
      stream.addEventListener("changed", () => changed().catch(() => {}));
      stream.addEventListener("synced", () => copied().catch(() => {}));
      if (missed && isFresh()) list.dispatchEvent(new Event("pages:refresh"));
      if (missed) copied().catch(() => {});
    }
  };
  document.addEventListener("visibilitychange", look);
  look();
}

for (const list of document.querySelectorAll("[data-live]")) {
  watch(list);
  listen(list);
}
/** A form whose answer takes a while is sent once; whoever comes back to the page can send it again. */
function sendOnce() {
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", () => {
      for (const button of form.querySelectorAll("button")) {
        button.disabled = true;
      }
      form.setAttribute("aria-busy", "true");
    });
  }
}

window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[data-once] button")) {
    button.disabled = false;
  }
});
sendOnce();

// A row for a ticket: its text is copied, or marked where a browser does not let us

for (const button of document.querySelectorAll("button[data-copy]")) {
  const text = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      say("Copied.");
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    } catch {
      text.closest("details").open = true;
      getSelection().selectAllChildren(text);
      say("Marked: copy it with the keyboard.");
    }
  });
}

for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// What is being made is looked for again

if (document.querySelector("[data-again]")) setTimeout(() => location.reload(), 2000);
