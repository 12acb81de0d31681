// Pictures while they are made: each lies behind the empty image of its tile, until the finished one is there.
(() => {
  const unfinished = (image) => /\/waiting\.png$/.test(image.getAttribute("src") || "");

  function previews(element, watch) {
    const gallery = document.getElementById("stage");
    let current = new Map(); // place: data URI that is decoded and ready

    function lay() {
      gallery.querySelectorAll("#gallery .gallery-item img").forEach((image, place) => {
        const picture = unfinished(image) ? current.get(place) : undefined;
        const wanted = picture ? `url("${picture}")` : "";
        if (image.dataset.preview === wanted || (!wanted && !image.dataset.preview)) return;
        image.style.backgroundImage = wanted;
        image.classList.toggle("growing", Boolean(picture));
        if (wanted) image.dataset.preview = wanted;
        else delete image.dataset.preview;
      });
    }

    let turn = 0;
    async function take() {
      const mine = ++turn;
      const next = new Map();
      for (const { dataset } of element.querySelectorAll("[data-picture]")) next.set(Number(dataset.place), dataset.picture);
      // Decoded first, so that no tile is empty between two of its pictures.
      await Promise.all([...next.values()].map((picture) => {
        const image = new Image();
        image.src = picture;
        return image.decode().catch(() => {});
      }));
      if (mine !== turn) return; // a later one is on its way
      current = next;
      lay();
    }

    watch("value", take);
    new MutationObserver(lay).observe(gallery, { subtree: true, childList: true, attributeFilter: ["src"] });
  }

  Object.assign(window.secondRound, { previews });
})();
