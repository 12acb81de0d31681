// The divider between the pick and the picture it came from, and what the number under a tile means.
(() => {
  const MEANING = "How much of the pick's outline and placement is kept. 100 % is the same picture.";
  let mode = "picture"; // stays from one pick to the next, so that pictures are compared one after the other

  function slide(divider) {
    divider.closest(".frame").style.setProperty("--at", divider.value / 100);
    divider.setAttribute("aria-valuetext", `${divider.value} % of the picture it came from`);
  }

  function dress(stage) {
    const wanted = stage.querySelector(`.modes input[value="${mode}"]`);
    if (wanted && !wanted.checked) wanted.checked = true;
    for (const divider of stage.querySelectorAll(".divider")) slide(divider);
  }

  function explain(stage) {
    for (const caption of stage.querySelectorAll("#gallery .caption-label")) {
      const meaning = caption.textContent.includes("% alike") ? MEANING : "";
      if (caption.title === meaning) continue;
      caption.title = meaning;
      const tile = caption.closest("button");
      if (meaning) tile?.setAttribute("aria-description", meaning);
      else tile?.removeAttribute("aria-description");
    }
  }

  document.addEventListener("input", (event) => {
    if (event.target.matches?.(".versus .divider")) slide(event.target);
    if (event.target.matches?.(".versus .modes input")) mode = event.target.value;
  });

  // Called once the page is there. Pick and pictures come and go below the stage.
  function compare() {
    const stage = document.getElementById("stage");
    const see = () => { dress(stage); explain(stage); };
    new MutationObserver(see).observe(stage, { subtree: true, childList: true, characterData: true });
  }

  Object.assign(window.secondRound, { compare });
})();
