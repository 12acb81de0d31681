// Arrow keys, Home and End between the pictures of a gallery; Enter picks, as on every button.
(() => {
  const TILES = ".gallery-item > button";

  // The tile above or below: the nearest of the next row, since the last row may be short.
  function beyond(tiles, at, way) {
    const here = tiles[at].getBoundingClientRect();
    const rows = tiles.map((tile, n) => ({ n, box: tile.getBoundingClientRect() }))
      .filter(({ box }) => (way < 0 ? box.top < here.top - 1 : box.top > here.top + 1));
    if (!rows.length) return at;
    const top = way < 0 ? Math.max(...rows.map(({ box }) => box.top)) : Math.min(...rows.map(({ box }) => box.top));
    const row = rows.filter(({ box }) => Math.abs(box.top - top) < 1);
    return row.reduce((a, b) => (Math.abs(b.box.left - here.left) < Math.abs(a.box.left - here.left) ? b : a)).n;
  }

  document.addEventListener("keydown", (event) => {
    const tile = event.target.closest?.(TILES);
    if (!tile || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const tiles = [...tile.closest(".grid-container").querySelectorAll(TILES)];
    const at = tiles.indexOf(tile);
    const next = {
      ArrowLeft: () => Math.max(0, at - 1),
      ArrowRight: () => Math.min(tiles.length - 1, at + 1),
      ArrowUp: () => beyond(tiles, at, -1),
      ArrowDown: () => beyond(tiles, at, 1),
      Home: () => 0,
      End: () => tiles.length - 1,
    }[event.key];
    if (!next) return;
    event.preventDefault(); // the page does not scroll as well
    event.stopPropagation();
    tiles[next()].focus();
  }, true);
})();
