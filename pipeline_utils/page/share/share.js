// Copies a link, a recipe or a script, and says so.
(() => {
  // navigator.clipboard is missing on plain http, except on this machine itself.
  async function put(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const field = document.createElement("textarea");
      field.value = text;
      field.setAttribute("aria-hidden", "true");
      field.style.cssText = "position:fixed;top:0;left:0;opacity:0";
      document.body.append(field);
      const before = document.activeElement;
      field.select();
      let done = false;
      try { done = document.execCommand("copy"); } catch { /* said below */ }
      field.remove();
      before?.focus?.();
      return done;
    }
  }

  // The last resort: the text itself, selected, for the visitor's own keys.
  function offer(box, text) {
    const field = box.querySelector("textarea") || document.createElement("textarea");
    field.readOnly = true;
    field.rows = 4;
    field.value = text;
    field.setAttribute("aria-label", "Text to copy");
    box.append(field);
    field.focus();
    field.select();
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.(".share [data-copy]");
    if (!button) return;
    const box = button.closest(".share");
    // The page's own address, also inside a frame, whose outer address cannot be read.
    const text = button.dataset.copy === "link" ? `${location.origin}${location.pathname}?${button.dataset.text}` : button.dataset.text;
    const label = (button.dataset.label ??= button.textContent);
    const done = await put(text);
    if (!done) offer(box, text);
    else box.querySelector("textarea")?.remove();
    box.querySelector("[role=status]").textContent = done ? `${label}: copied` : "Press Ctrl+C to copy the selected text";
    button.style.minWidth = button.offsetWidth + "px"; // it does not shrink under the pointer
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    clearTimeout(button.timer);
    button.timer = setTimeout(() => {
      button.textContent = label;
      box.querySelector("[role=status]").textContent = "";
    }, 2500);
  });
})();
