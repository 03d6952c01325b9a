"use strict";

for (const e of document.querySelectorAll(".host")) e.textContent = location.hostname;
for (const e of document.querySelectorAll(".ws")) e.textContent = location.origin.replace(/^http/, "ws");

const line = document.getElementById("status");
const details = document.getElementById("details");

function show(text, ok, rows) {
  line.textContent = text;
  line.className = ok ? "ok" : "bad";
  details.replaceChildren(...rows.flatMap(([k, v]) => {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = k;
    dd.textContent = v;
    return [dt, dd];
  }));
}

async function ask() {
  try {
    const answer = await fetch("/healthz", { cache: "no-store" });
    const h = await answer.json();
    const rows = [];
    if (h.reason) rows.push(["reason", h.reason]);
    if (h.since) rows.push(["since", new Date(h.since).toLocaleString()]);
    if (h.clients !== undefined) rows.push(["clients connected", String(h.clients)]);
    if (h.uptime) rows.push(["running for", `${h.uptime} seconds`]);
    if (h.version) rows.push(["version", h.version]);
    if (h.storage?.degraded) rows.push(["storage", h.storage.reason || "degraded"]);
    show(`Status: ${h.status}`, h.status === "ok", rows);
  } catch {
    show("tarsd does not answer", false, []);
  }
}

ask();
setInterval(() => { if (!document.hidden) ask(); }, 5000);
