// Pictures while they are made: each lies behind the empty image of its tile, until the finished one is there.
(() => {
  function previews(element, watch) {
    const stage = document.getElementById("stage");
    let current = new Map(); // place: data URI that is decoded and ready

    function lay() {
      for (const image of stage.querySelectorAll("#gallery .thumbnail-item img")) {
        const tile = image.parentNode, waits = tile.matches(".running .waiting");
        const picture = waits ? current.get(Number(tile.dataset.at)) : undefined;
        const wanted = picture ? `url("${picture}")` : "";
        if (image.style.backgroundImage !== wanted) image.style.backgroundImage = wanted;
        if (image.classList.contains("growing") !== Boolean(picture)) image.classList.toggle("growing", Boolean(picture));
      }
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
    stage.addEventListener("drawn", lay);
  }

  Object.assign(window.secondRound, { previews });
})();
