// The tree: picking by click, moving by arrow keys, and what is folded.
(() => {
  function tree(element, trigger, watch, choose, older) {
    const settle = secondRound.arrows(element, ".leaf");
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

  Object.assign(window.secondRound, { tree });
})();
