"use strict";
// The locks, live. A message on the WebSocket is a reason to ask for the list again; so is time, since
// a message can be lost. What expires when goes by the server's clock, not the browser's.

const POLL = 5000;
const RECONNECT = { first: 500, longest: 15000 };
const COLUMNS = ["Lock", "Held by", "From", "Since", "Expires", "Actions"];
const KEPT = "linklock-api-key";

const at = (id) => document.getElementById(id);
let key = null;
let locks = new Map();
let asking = false;
let askAgain = false;
let ahead = 0; // by how many milliseconds the server's clock is ahead of the browser's

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { "X-api-Key": key, ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new Error("The server does not answer. Trying again.");
  }
  const date = Date.parse(response.headers.get("Date"));
  if (date) ahead = date - Date.now();
  const answer = await response.json();
  if (response.ok) return answer;
  if (response.status === 403) throw new Refused(403, "The server does not accept this API key.");
  throw new Refused(response.status, answer.message);
}

function trouble(error) {
  at("trouble").textContent = error ? error.message : "";
  at("trouble").hidden = !error;
}

async function refresh() {
  if (asking) {
    askAgain = true;
    return;
  }
  asking = true;
  try {
    locks = new Map((await ask("GET", "v1/locks")).map((lock) => [lock.id, lock]));
    if (at("trouble").dataset.from === "refresh") trouble(null);
    show();
  } catch (error) {
    at("trouble").dataset.from = "refresh";
    trouble(error);
  } finally {
    asking = false;
  }
  if (askAgain) {
    askAgain = false;
    refresh();
  }
}

async function act(what) {
  at("trouble").dataset.from = "act"; // stays until the next action
  try {
    await what();
    trouble(null);
  } catch (error) {
    trouble(error);
  }
  await refresh();
}

const text = (one, other) => one.localeCompare(other);
const ORDERS = {
  name: (one, other) => text(one.lock_name, other.lock_name),
  holder: (one, other) => text(one.creator ?? "", other.creator ?? "") || ORDERS.name(one, other),
  since: (one, other) => Date.parse(other.created_at) - Date.parse(one.created_at),
  expires: (one, other) => Date.parse(one.expires_at) - Date.parse(other.expires_at),
};

// What others chose is set as text, never as markup.
function show() {
  const sought = at("filter").value.toLowerCase();
  const has = (value) => (value ?? "").toLowerCase().includes(sought);
  const shown = [...locks.values()].filter((lock) => has(lock.lock_name) || has(lock.creator));
  shown.sort(ORDERS[at("sort").value]);
  const rows = at("rows");
  const old = new Map([...rows.children].map((row) => [row.dataset.id, row]));
  const wanted = shown.map((lock) => fill(old.get(lock.id) ?? build(lock.id), lock));
  const kept = new Set(wanted);
  const focused = [...rows.children].findIndex((row) => row.contains(document.activeElement));
  for (const row of old.values()) if (!kept.has(row)) row.remove();
  wanted.forEach((row, at) => {
    if (rows.children[at] !== row) rows.insertBefore(row, rows.children[at] ?? null);
  });
  if (focused >= 0 && document.activeElement === document.body) focusNear(focused);
  const all = `${locks.size} ${locks.size === 1 ? "lock" : "locks"}`;
  at("count").textContent = sought ? `${shown.length} of ${all}` : all;
  at("table").hidden = shown.length === 0;
  at("empty").hidden = shown.length > 0;
  at("empty").textContent = locks.size === 0 ? "No locks are held." : `No lock matches “${at("filter").value}”.`;
}

// After a row has gone, the focus is on the row that took its place.
function focusNear(index) {
  const rows = at("rows").children;
  const row = rows[Math.min(index, rows.length - 1)];
  (row?.querySelector("button:last-child") ?? at("filter")).focus();
}

function build(id) {
  const row = document.createElement("tr");
  row.dataset.id = id;
  for (const label of COLUMNS) {
    const cell = document.createElement("td");
    cell.dataset.label = label;
    row.append(cell);
  }
  row.lastChild.append(
    button("+ 5 min", () => act(() => ask("GET", `v1/locks/${id}/add_to_expire_at`))),
    button("Delete", () => {
      const name = locks.get(id)?.lock_name;
      if (confirm(`Delete the lock “${name}”? Its holder may still be at work.`)) {
        act(() => ask("DELETE", `v1/locks/${id}`));
      }
    }),
  );
  return row;
}

function button(label, action) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.addEventListener("click", action);
  return button;
}

function fill(row, lock) {
  const now = Date.now() + ahead;
  const left = Math.round((Date.parse(lock.expires_at) - now) / 1000);
  const age = Math.max(0, Math.round((now - Date.parse(lock.created_at)) / 1000));
  const texts = [
    lock.lock_name,
    lock.creator ?? "",
    lock.ip ?? "",
    `${duration(age)} ago`,
    left >= 0 ? `in ${duration(left)}` : `${duration(-left)} ago`,
  ];
  texts.forEach((text, cell) => {
    if (row.cells[cell].textContent !== text) row.cells[cell].textContent = text;
  });
  row.cells[3].title = new Date(lock.created_at).toLocaleString();
  row.cells[4].title = new Date(lock.expires_at).toLocaleString();
  row.cells[4].className = left < 0 ? "expired" : "";
  const [add, remove] = row.lastChild.children;
  add.setAttribute("aria-label", `+ 5 min for ${lock.lock_name}`);
  remove.setAttribute("aria-label", `Delete ${lock.lock_name}`);
  return row;
}

function duration(seconds) {
  const [days, hours] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24];
  const minutes = Math.floor(seconds / 60) % 60;
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

// A script can't set a header on a WebSocket, so the key is sent as a protocol: not in the URL,
// which ends up in logs.
function listen(pause = RECONNECT.first) {
  const hex = [...new TextEncoder().encode(key)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const url = new URL("ws/broadcast", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url, ["relukko", `relukko-key.${hex}`]);
  socket.onopen = () => {
    pause = RECONNECT.first;
    at("live").textContent = "live";
    refresh(); // messages before this one are lost
  };
  socket.onmessage = refresh;
  socket.onclose = () => {
    at("live").textContent = "not connected: asking every few seconds";
    setTimeout(listen, pause * (0.5 + Math.random()), Math.min(pause * 2, RECONNECT.longest));
  };
}

async function enter() {
  let server;
  try {
    server = await ask("GET", "v2/server");
  } catch (error) {
    if (error.status === 403) sessionStorage.removeItem(KEPT);
    trouble(error);
    return;
  }
  trouble(null);
  sessionStorage.setItem(KEPT, key);
  document.title = `Locks on ${location.host}`;
  at("server").textContent = `on ${location.host}`;
  at("directory").textContent = `Directory ${server.directory}, linklock ${server.version}`;
  at("key").value = "";
  at("enter").hidden = true;
  at("locks").hidden = false;
  await refresh();
  listen();
  setInterval(refresh, POLL);
  setInterval(show, 1000);
}

at("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value;
  enter();
});

at("create").addEventListener("submit", (event) => {
  event.preventDefault();
  const [lock_name, creator] = [at("name").value, at("creator").value || null];
  act(async () => {
    await ask("POST", "v1/locks", { lock_name, creator });
    at("create").reset();
  });
});

at("view").addEventListener("submit", (event) => event.preventDefault());
at("view").addEventListener("input", show);

at("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEPT);
  location.reload();
});

key = sessionStorage.getItem(KEPT);
if (key) enter();
