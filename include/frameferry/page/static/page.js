"use strict";

// Where Airflow frames the page, its theme is ours; elsewhere the system's is (see page.css).
const framed = window.parent !== window;
const outside = framed ? window.parent.document : document;

function takeTheme() {
  const theme = outside.documentElement.classList.contains("dark") ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
}

if (framed) {
  takeTheme();
  new MutationObserver(takeTheme).observe(outside.documentElement, { attributeFilter: ["class"] });
}

// Airflow's frame forbids links that leave it, so its own window is asked to follow them.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[target=_top]");
  if (!link || !framed) return;
  event.preventDefault();
  const door = outside.createElement("a");
  door.href = link.href;
  outside.body.append(door);
  door.click();
  door.remove();
});

// Make `old` equal to `fresh` in place: what did not change is not touched, so nothing flickers,
// and a selection or a scroll position survives.
function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(document.importNode(fresh, true));
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  after.forEach((node, i) => (i < before.length ? morph(before[i], node) : old.append(document.importNode(node, true))));
  before.slice(after.length).forEach((node) => node.remove());
}

function pulse(state, text) {
  document.getElementById("pulse").className = `dot ${state}`;
  document.getElementById("pulse-text").textContent = text;
}

const TROUBLE = {
  401: "signed out; log in again to go on. As of",
  403: "no longer allowed. As of",
};

async function refresh(live) {
  let answer;
  try {
    answer = await fetch("pipelines", { credentials: "same-origin", signal: AbortSignal.timeout(20000) });
    if (!answer.ok) {
      pulse("off", TROUBLE[answer.status] ?? `Airflow answers ${answer.status}; as of`);
      return;
    }
    const fresh = new DOMParser().parseFromString(`<div>${await answer.text()}</div>`, "text/html");
    morphChildren(live, fresh.body.firstElementChild);
    pulse("on", "as of");
  } catch {
    pulse("off", "Airflow does not answer; as of");
  }
}

document.addEventListener("DOMContentLoaded", () => {
  const live = document.getElementById("live");
  const every = Number(live.dataset.everySeconds) * 1000;
  let timer;
  let asking = false;
  const turn = async () => {
    clearTimeout(timer);
    if (asking || document.hidden) return;
    asking = true;
    await refresh(live);
    asking = false;
    timer = setTimeout(turn, every);
  };
  pulse("on", "as of");
  document.addEventListener("visibilitychange", turn);
  timer = setTimeout(turn, every);
});
