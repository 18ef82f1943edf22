"use strict";
// The locks, live. What the server tells on the WebSocket is a reason to ask again; so is time,
// since locks that are created or prolonged elsewhere are not told of.

const POLL = 5000;
const RECONNECT = { first: 500, longest: 15000 };

const at = (id) => document.getElementById(id);
let key = null;
let locks = new Map();
let asking = false;
let askAgain = false;

class Refused extends Error {}

async function ask(method, path, body) {
  const response = await fetch(`v1/locks${path}`, {
    method,
    headers: { "X-api-Key": key, ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
    cache: "no-store",
  });
  const answer = await response.json();
  if (!response.ok) throw new Refused(`${answer.message} (${answer.status})`);
  return answer;
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
    locks = new Map((await ask("GET", "")).map((lock) => [lock.id, lock]));
    show();
  } catch (error) {
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
  try {
    await what();
    trouble(null);
  } catch (error) {
    trouble(error);
  }
  await refresh();
}

// Everything that others chose is set as text, never as markup.
function show() {
  const rows = at("rows");
  const old = new Map([...rows.children].map((row) => [row.dataset.id, row]));
  const wanted = [...locks.values()].map((lock) => fill(old.get(lock.id) ?? build(lock.id), lock));
  for (const [id, row] of old) if (!locks.has(id)) row.remove();
  wanted.forEach((row, at) => {
    if (rows.children[at] !== row) rows.insertBefore(row, rows.children[at] ?? null);
  });
  at("count").textContent = locks.size;
}

function build(id) {
  const row = document.createElement("tr");
  row.dataset.id = id;
  for (let cell = 0; cell < 6; cell += 1) row.append(document.createElement("td"));
  row.lastChild.append(
    button("+ 5 min", () => act(() => ask("GET", `/${id}/add_to_expire_at`))),
    button("Delete", () => {
      const name = locks.get(id)?.lock_name;
      if (confirm(`Delete the lock “${name}”? Its holder may still be at work.`)) {
        act(() => ask("DELETE", `/${id}`));
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
  const left = Math.round((Date.parse(lock.expires_at) - Date.now()) / 1000);
  const texts = [
    lock.lock_name,
    lock.creator ?? "",
    lock.ip ?? "",
    new Date(lock.created_at).toLocaleString(),
    left >= 0 ? `in ${duration(left)}` : `${duration(-left)} ago`,
  ];
  texts.forEach((text, cell) => {
    if (row.cells[cell].textContent !== text) row.cells[cell].textContent = text;
  });
  row.cells[4].className = left < 0 ? "expired" : "";
  row.cells[4].title = lock.expires_at;
  return row;
}

function duration(seconds) {
  const [days, hours] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24];
  const minutes = Math.floor(seconds / 60) % 60;
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

// A script can't set a header on a WebSocket, so the key goes as a protocol: not into the URL,
// which ends up in logs.
function listen(pause = RECONNECT.first) {
  const hex = [...new TextEncoder().encode(key)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const url = new URL("ws/broadcast", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url, ["relukko", `relukko-key.${hex}`]);
  socket.onopen = () => {
    pause = RECONNECT.first;
    at("live").textContent = "live";
    refresh(); // what was told before is not known
  };
  socket.onmessage = refresh;
  socket.onclose = () => {
    at("live").textContent = "not connected: asking every few seconds";
    setTimeout(listen, pause * (0.5 + Math.random()), Math.min(pause * 2, RECONNECT.longest));
  };
}

at("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  key = at("key").value;
  try {
    await ask("GET", "");
  } catch (error) {
    trouble(error);
    return;
  }
  trouble(null);
  at("key").value = "";
  at("enter").hidden = true;
  at("locks").hidden = false;
  await refresh();
  listen();
  setInterval(refresh, POLL);
  setInterval(show, 1000);
});

at("create").addEventListener("submit", (event) => {
  event.preventDefault();
  const [lock_name, creator] = [at("name").value, at("creator").value || null];
  act(async () => {
    await ask("POST", "", { lock_name, creator });
    at("create").reset();
  });
});
