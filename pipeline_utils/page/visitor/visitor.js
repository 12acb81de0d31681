// Who the visitor is: the browser's own token, and what its page shows, which a reload finds again.
(() => {
  const KEY = "second-round-visitor", PAGE = "second-round-page";

  let known; // [token, was it here before]; where nothing can be kept, a token for as long as the page is open
  function visitor() {
    if (known) return known;
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const token = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    known = [token, false];
    try {
      const kept = localStorage.getItem(KEY);
      if (/^[0-9a-f]{32}$/.test(kept || "")) known = [kept, true];
      else localStorage.setItem(KEY, token);
    } catch { /* denied */ }
    return known;
  }

  // Of this tab, as it was when it was left: what it shows, its form, and the button whose round was running.
  let left = {}, form = null, asked = "", arrived = false;
  try { left = JSON.parse(sessionStorage.getItem(PAGE)) ?? {}; } catch { /* nothing is kept, or not by us */ }
  const kept = () => left.form ?? null;
  const keep = (...values) => { if (arrived) form = values; };
  addEventListener("pagehide", () => {
    const row = document.querySelector("#gallery .running");
    // Random seeds were drawn once: the round that goes on is the one that was running.
    const seeds = row && [...row.querySelectorAll(".caption-label")].map((each) => /^seed (\d+)/.exec(each.textContent)?.[1]);
    const running = document.querySelector("#status .running, #status .waiting") ? asked : "";
    try { sessionStorage.setItem(PAGE, JSON.stringify({ here: here(), form: form ?? kept(), running, seeds })); } catch { /* denied */ }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("#make, #next, #grid, #vary, #examples button");
    if (button) asked = ["next", "grid", "vary"].includes(button.id) ? button.id : "make";
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter") asked = { prompt: "make", "second-seeds": "vary" }[event.target.closest?.("#prompt, #second-seeds")?.id] ?? asked;
  }, true);

  // Once the page is as it was: the round that the reload broke off goes on.
  function resume() {
    arrived = true;
    const { running, seeds } = left;
    if (running === "make" && seeds?.every(Boolean)) {
      const field = document.querySelector("#seeds :is(input, textarea)");
      field.value = seeds.join(", ");
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    if (["make", "next", "grid", "vary"].includes(running)) {
      asked = running;
      setTimeout(() => document.querySelector(`button#${running}`)?.click(), 100); // after what was typed just now
    }
    left = {};
  }

  // What every event says of its page, so that the server may have forgotten it: whose it is, and what it shows.
  function here() {
    if (!arrived && left.here) return { ...left.here, token: visitor()[0] };
    const data = (selector) => document.querySelector(selector)?.dataset ?? {};
    const rounds = [...document.querySelectorAll("#gallery .round")].map((row) => row.dataset.round).filter(Boolean);
    const shown = data("#gallery .shown").round;
    const pick = data("#pick [data-picture]").picture, model = data("#model-note [data-model]").model;
    return { token: visitor()[0], rounds, shown, pick, model };
  }

  Object.assign(window.secondRound, { visitor, here, kept, keep, resume });
})();
