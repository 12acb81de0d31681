// The shelf: what is selected stays selected while pages are added, until it is deleted or cleared.
(() => {
  function shelf(element, trigger, watch, choose, star, remove, restore, empty, pack, more) {
    const settle = secondRound.arrows(element, ".open");
    const chosen = new Set();
    let shown = -1; // tiles that were there when more were asked for
    let gone = false; // a deletion was asked for: the way back gets the focus

    const tiles = () => [...element.querySelectorAll("li[data-id]")];
    const mark = () => {
      for (const tile of tiles()) {
        const on = chosen.has(tile.dataset.id);
        tile.classList.toggle("chosen", on);
        tile.querySelector(".check input").checked = on;
      }
      const bar = element.querySelector(".selected-bar");
      if (!bar) return;
      bar.hidden = chosen.size === 0;
      bar.querySelector(".count").textContent = `${chosen.size} selected`;
    };

    let anchor = null; // where a selection with the shift key begins
    element.addEventListener("change", (event) => {
      const tile = event.target.closest(".check") && event.target.closest("li[data-id]");
      if (!tile) return;
      chosen[event.target.checked ? "add" : "delete"](tile.dataset.id);
      anchor = tile.dataset.id;
      mark();
    });
    element.addEventListener("click", (event) => {
      const at = (selector) => event.target.closest(selector);
      const tile = at("li[data-id]");
      if (at(".check") && event.shiftKey && anchor) {
        const ids = tiles().map((each) => each.dataset.id);
        const [from, to] = [ids.indexOf(anchor), ids.indexOf(tile.dataset.id)].sort((a, b) => a - b);
        if (from >= 0) ids.slice(from, to + 1).forEach((id) => chosen.add(id));
        mark();
      } else if (at(".open")) trigger(choose, { id: tile.dataset.id });
      else if (at(".star")) {
        const on = at(".star").getAttribute("aria-pressed") !== "true";
        at(".star").setAttribute("aria-pressed", String(on));
        trigger(star, { id: tile.dataset.id, on });
      } else if (at(".more")) { shown = tiles().length; trigger(more, {}); }
      else if (at(".pack")) trigger(pack, { ids: [...chosen] });
      else if (at(".remove")) { gone = true; trigger(remove, { ids: [...chosen] }); chosen.clear(); }
      else if (at(".restore")) trigger(restore, { deletion: at(".restore").dataset.deletion, open: at(".trash") !== null });
      else if (at(".empty")) trigger(empty, {});
      else if (at(".clear")) { chosen.clear(); mark(); }
    });

    const drawn = () => {
      settle();
      mark();
      if (shown >= 0) tiles()[shown]?.querySelector(".open").focus();
      if (gone) element.querySelector(".undo")?.focus();
      shown = -1;
      gone = false;
    };
    watch("value", drawn);
    drawn();
  }

  Object.assign(window.secondRound, { shelf });
})();
