// The tree: picking by click, moving by arrow keys, and the browser's own token.
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

  const visible = (node) => node.getClientRects().length > 0;

  // The one of `all` that an arrow key leads to from `from`: beside it, or in the row above or below.
  function beside(all, from, key) {
    const at = all.indexOf(from);
    if (key === "ArrowLeft") return all[at - 1];
    if (key === "ArrowRight") return all[at + 1];
    if (key === "Home") return all[0];
    if (key === "End") return all[all.length - 1];
    const here = from.getBoundingClientRect();
    const down = key === "ArrowDown";
    let best = null, row = null, apart = Infinity;
    for (const other of down ? all.slice(at + 1) : all.slice(0, at).reverse()) {
      const there = other.getBoundingClientRect();
      if (down ? there.top < here.bottom : there.bottom > here.top) continue;
      row ??= there;
      if (Math.abs(there.top - row.top) > 4) break;
      const far = Math.abs(there.left - here.left);
      if (far < apart) [best, apart] = [other, far];
    }
    return best;
  }

  const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];

  // One stop for Tab among all that match `selector`; arrow keys lead from one to the next.
  // Returns what is to be called when the content was replaced: () => void.
  function arrows(element, selector) {
    let last = null;
    const all = () => [...element.querySelectorAll(selector)];
    const stop = (node) => {
      for (const other of all()) other.tabIndex = other === node ? 0 : -1;
    };
    element.addEventListener("focusin", (event) => {
      const node = event.target.closest(selector);
      if (node) { last = node.dataset.id || node.parentNode.dataset.id; stop(node); }
    });
    element.addEventListener("keydown", (event) => {
      const node = event.target.closest(selector);
      if (!node || !KEYS.includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      beside(all().filter(visible), node, event.key)?.focus();
    });
    return () => {
      const nodes = all();
      const id = (node) => node.dataset.id || node.parentNode.dataset.id;
      stop(nodes.find((node) => node.ariaCurrent === "true") || nodes.find((node) => id(node) === last) || nodes[0]);
    };
  }

  function tree(element, trigger, watch, choose, older) {
    const settle = arrows(element, ".leaf");
    const folds = new Map(); // by the first picture of a root: did the visitor open or close it
    let more = -1; // leaves that were there when older ones were asked for
    const first = (details) => details.querySelector(".leaf")?.dataset.id;
    element.addEventListener("click", (event) => {
      const leaf = event.target.closest(".leaf");
      if (leaf) trigger(choose, { id: leaf.dataset.id });
      if (event.target.closest(".older")) { more = element.querySelectorAll(".leaf").length; trigger(older, {}); }
      const summary = event.target.closest("summary");
      if (summary) folds.set(first(summary.parentNode), !summary.parentNode.open);
    });
    const drawn = () => {
      for (const details of element.querySelectorAll("details")) {
        if (folds.has(first(details))) details.open = folds.get(first(details));
      }
      settle();
      if (more >= 0) {
        const next = element.querySelectorAll(".leaf")[more];
        if (next) { next.closest("details").open = true; next.focus(); }
        more = -1;
      }
    };
    watch("value", drawn);
    drawn();
  }

  Object.assign(window.secondRound, { visitor, here, tree, arrows });
})();
