// What the page does without asking the server: saving a file, moving the view, naming the tiles.
(() => {
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };

  function save(file) {
    if (!file?.url) return;
    const link = make("a", { href: file.url, download: file.orig_name || "" });
    document.body.append(link);
    link.click();
    link.remove();
  }

  // Gradio names every tile "Thumbnail 1 of 4"; here a tile is named by the words under it.
  function nameTiles(stage) {
    for (const tile of stage.querySelectorAll("#gallery .gallery-item > button")) {
      const name = tile.querySelector(".caption-label")?.textContent.trim();
      const pressed = String(tile.classList.contains("selected"));
      if (name && tile.getAttribute("aria-label") !== name) tile.setAttribute("aria-label", name);
      if (tile.getAttribute("aria-pressed") !== pressed) tile.setAttribute("aria-pressed", pressed);
    }
  }

  // When a round begins, its pictures come into view; a refused one leaves the view where it was.
  function follow(element, watch) {
    const stage = document.getElementById("stage");
    const changes = { subtree: true, childList: true, characterData: true, attributeFilter: ["class", "aria-label"] };
    new MutationObserver(() => nameTiles(stage)).observe(stage, changes);
    let busy = false;
    watch("value", () => {
      const before = busy;
      busy = element.querySelector(".waiting, .running") !== null;
      if (!busy || before || (stage.getBoundingClientRect().top >= 0 && innerWidth > 767)) return;
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      stage.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
    });
  }

  window.secondRound = { make, save, follow };
})();
