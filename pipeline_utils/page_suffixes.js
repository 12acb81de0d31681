// The list of style suffixes.
(() => {
  const { make } = window.secondRound;
  const clean = (list) => (Array.isArray(list) ? list.filter((s) => typeof s === "string") : []);

  // A suffix is added to the prompt as it stands, so a new one gets its comma here, where it is seen.
  const joined = (text) => (/^[,\s]/.test(text) ? text : ", " + text);

  // props.value: the list. props.own: the suffixes of the model. props.presets: {group: [suffix, ...]}.
  function suffixList(element, props, watch) {
    const rows = make("ol", { class: "suffix-rows", "aria-label": "Style suffixes" });
    const field = make("input", {
      type: "text", id: "new-suffix", maxlength: 200, placeholder: "another style", autocomplete: "off",
      "aria-label": "New suffix",
    });
    const spoken = make("p", { class: "visually-hidden", role: "status" });
    let list = clean(props.value);

    const publish = () => (props.value = [...list]);
    const change = (next, say) => { list = next; draw(); publish(); spoken.textContent = say; };
    const focus = (selector) => element.querySelector(selector)?.focus();

    const add = (text) => {
      if (!text.replace(/[\s,]+/g, "")) return;
      const suffix = joined(text.trimEnd());
      if (list.includes(suffix)) { spoken.textContent = suffix + " is in the list already"; return; }
      if (list.length >= props.most) { spoken.textContent = "The list is full"; return; }
      change([...list, suffix], "Added " + suffix);
    };
    const addTyped = () => { add(field.value); field.value = ""; field.focus(); };
    const move = (at, by) => {
      const next = [...list];
      [next[at], next[at + by]] = [next[at + by], next[at]];
      change(next, `Moved to place ${at + by + 1}`);
      const way = by < 0 ? "up" : "down";
      const button = element.querySelector(`li:nth-child(${at + by + 1}) .${way}`);
      (button.disabled ? element.querySelector(`li:nth-child(${at + by + 1}) input`) : button).focus();
    };
    const remove = (at) => {
      change(list.filter((_, n) => n !== at), "Removed " + list[at]);
      if (list.length) focus(`li:nth-child(${Math.min(at + 1, list.length)}) .remove`);
      else field.focus();
    };
    const button = (kind, label, sign, disabled, press) =>
      make("button", { type: "button", class: kind, "aria-label": label, title: label, disabled, on: { click: press } }, sign);

    function draw() {
      rows.replaceChildren(...list.map((suffix, at) => {
        const text = make("input", {
          type: "text", "aria-label": `Suffix ${at + 1}`, maxlength: 200, autocomplete: "off", spellcheck: "false",
          on: { input: () => { list[at] = text.value; publish(); } },
        });
        text.value = suffix;
        const name = suffix.replace(/^[,\s]+/, "");
        return make("li", {}, text,
          button("up", `Move ${name} up`, "↑", at === 0, () => move(at, -1)),
          button("down", `Move ${name} down`, "↓", at === list.length - 1, () => move(at, 1)),
          button("remove", `Remove ${name}`, "×", false, () => remove(at)));
      }));
      presets();
    }

    const select = make("select", { "aria-label": "Add a preset" });
    function presets() {
      const option = (suffix) => make("option", { value: suffix, disabled: list.includes(suffix) }, suffix.replace(/^, /, ""));
      const group = ([name, suffixes]) => make("optgroup", { label: name }, ...suffixes.map(option));
      const groups = [["This model", clean(props.own)], ...Object.entries(props.presets || {})];
      select.replaceChildren(make("option", { value: "", selected: true }, "Presets"), ...groups.map(group));
    }
    select.addEventListener("change", () => { const chosen = select.value; select.value = ""; if (chosen) add(chosen); });
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); addTyped(); } });

    element.replaceChildren(
      rows,
      make("div", { class: "suffix-add" }, field, make("button", { type: "button", class: "add", on: { click: addTyped } }, "Add")),
      make("div", { class: "suffix-more" }, select,
        make("button", {
          type: "button", class: "reset", title: "The suffixes of this model",
          on: { click: () => change(clean(props.own), "The suffixes of this model") },
        }, "Defaults")),
      spoken);
    draw();
    watch(["value", "own"], () => {
      if (JSON.stringify(list) !== JSON.stringify(props.value)) list = clean(props.value);
      else if (element.contains(document.activeElement)) return;
      draw();
    });
  }

  Object.assign(window.secondRound, { suffixList });
})();
