// Who the visitor is: the browser's own token, and what its page shows.
(() => {
  const KEY = "second-round-visitor";

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

  // What every event says of its page, so that the server may have forgotten it: whose it is, and what it shows.
  function here() {
    const data = (selector) => document.querySelector(selector)?.dataset ?? {};
    const { rounds, shown } = data("#heading .round-head");
    const pick = data("#pick [data-picture]").picture, model = data("#model-note [data-model]").model;
    return { token: visitor()[0], rounds: rounds?.split(" ").filter(Boolean), shown, pick, model };
  }

  Object.assign(window.secondRound, { visitor, here });
})();
