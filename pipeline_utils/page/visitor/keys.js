// Arrow keys, Home and End between pictures, in rows of any length; Enter picks, as on every button.
(() => {
  const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];
  const TILES = ".gallery-item > button";

  // The one of `all` that an arrow key leads to from `from`: beside it, or the nearest of the row above or below.
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
      if (down ? there.top < here.bottom - 1 : there.bottom > here.top + 1) continue;
      row ??= there;
      if (Math.abs(there.top - row.top) > 4) break;
      const far = Math.abs(there.left - here.left);
      if (far < apart) [best, apart] = [other, far];
    }
    return best;
  }

  // Is this key one that leads on from `node` among `all`? Then it does, and neither page nor Gradio scrolls as well.
  function lead(event, all, node) {
    if (!KEYS.includes(event.key) || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    beside(all.filter((each) => each.getClientRects().length > 0), node, event.key)?.focus();
  }

  // One stop for Tab among all that match `selector`; arrow keys lead from one to the next.
  // Returns what is to be called when the content was replaced: () => void.
  function arrows(element, selector) {
    let last = null;
    const all = () => [...element.querySelectorAll(selector)];
    const id = (node) => node.dataset.id || node.parentNode.dataset.id;
    const stop = (node) => {
      for (const other of all()) other.tabIndex = other === node ? 0 : -1;
    };
    element.addEventListener("focusin", (event) => {
      const node = event.target.closest(selector);
      if (node) { last = id(node); stop(node); }
    });
    element.addEventListener("keydown", (event) => {
      const node = event.target.closest(selector);
      if (node) lead(event, all(), node);
    });
    return () => {
      const nodes = all();
      stop(nodes.find((node) => node.ariaCurrent === "true") || nodes.find((node) => id(node) === last) || nodes[0]);
    };
  }

  // Left and right, Home and End stay in a round; up and down lead from one to the next.
  const among = (tile, key) =>
    [...tile.closest(/Up|Down/.test(key) ? "#gallery" : ".grid-container").querySelectorAll(TILES)];

  document.addEventListener("keydown", (event) => {
    const tile = event.target.closest?.(TILES);
    if (tile) lead(event, among(tile, event.key), tile);
  }, true);

  Object.assign(window.secondRound, { arrows });
})();
