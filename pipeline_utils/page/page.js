// What the page does without asking the server: saving a file, making elements.
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

  window.secondRound = { make, save };
})();
