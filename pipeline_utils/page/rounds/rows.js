// The rounds as rows of pictures. Of what the server sends only what differs is touched, so that nothing flickers and
// the focus stays where it is.
(() => {
  function morph(old, fresh) {
    if (old.nodeName !== fresh.nodeName) { old.replaceWith(fresh); return; }
    if (old.nodeType !== Node.ELEMENT_NODE) { if (old.data !== fresh.data) old.data = fresh.data; return; }
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const news = [...fresh.childNodes];
    while (old.childNodes.length > news.length) old.lastChild.remove();
    news.forEach((node, at) => (old.childNodes[at] ? morph(old.childNodes[at], node) : old.append(node)));
  }

  // props.value: for each round its pieces of HTML, which together are one element.
  function rows(element, props, watch, trigger, select, expand) {
    const stage = document.getElementById("stage");
    let drawn = [];

    // When a round begins, it comes into view; a refused one leaves the view where it was.
    function follow() {
      const row = element.querySelector(".running"), calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const tall = row.offsetHeight > innerHeight - 60;
      row.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: tall ? "start" : "nearest" });
    }

    function draw() {
      const next = (props.value || []).map((pieces) => pieces.join(""));
      const ran = drawn.length > 0 && element.querySelector(".running") !== null;
      while (element.children.length > next.length) element.lastElementChild.remove();
      next.forEach((text, at) => {
        if (text === drawn[at]) return;
        const fresh = document.createElement("template");
        fresh.innerHTML = text;
        const old = element.children[at];
        if (old) morph(old, fresh.content.firstElementChild);
        else element.append(fresh.content);
      });
      drawn = next;
      if (!ran && element.querySelector(".running")) follow();
      stage.dispatchEvent(new Event("drawn"));
    }

    element.addEventListener("click", (event) => {
      const tile = event.target.closest(".thumbnail-item"), title = event.target.closest(".round-title");
      if (tile) trigger(select, { index: Number(tile.dataset.at), value: tile.dataset.file });
      if (title) trigger(expand, { value: title.closest(".round").dataset.round });
    });
    watch("value", draw);
    draw();
  }

  Object.assign(window.secondRound, { rows });
})();
