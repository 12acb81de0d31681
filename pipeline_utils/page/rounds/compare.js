// The divider between the pick and the picture it came from.
(() => {
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

  document.addEventListener("input", (event) => {
    if (event.target.matches?.(".versus .divider")) slide(event.target);
    if (event.target.matches?.(".versus .modes input")) mode = event.target.value;
  });

  // Called once the page is there. The pick comes and goes below the stage.
  function compare() {
    const stage = document.getElementById("stage");
    new MutationObserver(() => dress(stage)).observe(stage, { subtree: true, childList: true });
  }

  Object.assign(window.secondRound, { compare });
})();
