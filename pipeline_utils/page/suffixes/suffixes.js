// The list of style suffixes: written, chosen from presets, put in order, and kept as sets in this browser.
(() => {
  const { make } = window.secondRound;
  const clean = (list) => (Array.isArray(list) ? list.filter((s) => typeof s === "string") : []);
  const short = (suffix) => suffix.replace(/^[,\s]+/, "");
  const wordless = (text) => !text.replace(/[\s,]+/g, "");

  // A suffix is added to the prompt as it stands, so a new one gets its comma here, where it is seen.
  const joined = (text) => (/^[,\s]/.test(text) ? text : ", " + text);

  // Sets of suffixes: [[name, [suffix, ...]], ...]. What a browser keeps can be anything, so it is checked.
  const KEY = "second-round.suffix-sets", MOST_SETS = 50, LONGEST_NAME = 60;
  const isList = (list, most, longest) =>
    Array.isArray(list) && list.length >= 1 && list.length <= most && new Set(list).size === list.length &&
    list.every((s) => typeof s === "string" && s.length <= longest && !wordless(s) && !/[\x00-\x1f\x7f]/.test(s));
  const isName = (name) => typeof name === "string" && name.trim() !== "" && name.length <= LONGEST_NAME;

  function readSets(most, longest) {
    let kept = [];
    try { kept = JSON.parse(localStorage.getItem(KEY)) ?? []; } catch { /* nothing is kept, or not by us */ }
    if (!Array.isArray(kept)) return [];
    const sets = kept.filter((each) => Array.isArray(each) && each.length === 2 && isName(each[0]) && isList(each[1], most, longest));
    return [...new Map(sets)].slice(0, MOST_SETS);
  }

  // props.value: the list. props.own: the model's defaults. props.known: all it was trained on.
  // props.moods: {mood: [suffix, ...]}. props.most: suffixes in a list. props.longest: characters of one.
  function suffixList(element, props, watch) {
    const rows = make("ol", { class: "suffix-rows", "aria-label": "Style suffixes" });
    const field = make("input", {
      type: "text", id: "new-suffix", maxlength: props.longest, placeholder: "another style", autocomplete: "off",
      "aria-label": "New suffix",
    });
    const spoken = make("p", { class: "visually-hidden", role: "status" });
    let list = clean(props.value);

    const publish = () => (props.value = [...list]);
    const change = (next, say) => { list = next; draw(); publish(); spoken.textContent = say; };
    const focus = (selector) => element.querySelector(selector)?.focus();
    const button = (kind, label, sign, disabled, press) =>
      make("button", { type: "button", class: kind, "aria-label": label, title: label, disabled, on: { click: press } }, sign);

    const add = (texts) => {
      const wanted = texts.filter((text) => !wordless(text)).map((text) => joined(text.trimEnd()));
      const fresh = wanted.filter((suffix) => !list.includes(suffix)).slice(0, Math.max(0, props.most - list.length));
      if (fresh.length) change([...list, ...fresh], "Added " + fresh.map(short).join("; "));
      else if (wanted.length) spoken.textContent = list.length >= props.most ? "The list is full" : "In the list already";
    };
    const addTyped = () => { add([field.value]); field.value = ""; field.focus(); };
    const move = (at, by) => {
      const next = [...list];
      [next[at], next[at + by]] = [next[at + by], next[at]];
      change(next, `Moved to place ${at + by + 1}`);
      const way = by < 0 ? "up" : "down";
      const pressed = element.querySelector(`.suffix-rows li:nth-child(${at + by + 1}) .${way}`);
      (pressed.disabled ? element.querySelector(`.suffix-rows li:nth-child(${at + by + 1}) input`) : pressed).focus();
    };
    const remove = (at) => {
      change(list.filter((_, n) => n !== at), "Removed " + list[at]);
      if (list.length) focus(`.suffix-rows li:nth-child(${Math.min(at + 1, list.length)}) .remove`);
      else field.focus();
    };

    // The dragged row stays where it is in the document, and its neighbours change sides, so that no event is lost.
    function drag(event, row) {
      if (event.button) return;
      event.preventDefault();
      const before = [...rows.children], over = new AbortController();
      const on = (name, act) => addEventListener(name, act, { signal: over.signal });
      const middle = (other) => other.getBoundingClientRect().top + other.offsetHeight / 2;
      const end = (keep) => {
        over.abort();
        const order = [...rows.children].map((each) => before.indexOf(each));
        const moved = row.isConnected && order.some((place, at) => place !== at);
        if (keep && moved) change(order.map((at) => list[at]), `Moved to place ${order.indexOf(before.indexOf(row)) + 1}`);
        else draw();
      };
      row.classList.add("dragged");
      on("pointermove", ({ clientY }) => {
        while (row.previousElementSibling && clientY < middle(row.previousElementSibling)) row.after(row.previousElementSibling);
        while (row.nextElementSibling && clientY > middle(row.nextElementSibling)) row.before(row.nextElementSibling);
      });
      on("pointerup", () => end(true));
      on("pointercancel", () => end(false));
      on("keydown", ({ key }) => { if (key === "Escape") end(false); });
    }

    function draw() {
      rows.replaceChildren(...list.map((suffix, at) => {
        const text = make("input", {
          type: "text", "aria-label": `Suffix ${at + 1}`, maxlength: props.longest, autocomplete: "off", spellcheck: "false",
          on: { input: () => { list[at] = text.value; publish(); } },
        });
        text.value = suffix;
        const name = short(suffix), row = make("li");
        row.append(
          make("span", { class: "grip", "aria-hidden": "true", title: "Drag to move", on: { pointerdown: (event) => drag(event, row) } }),
          text,
          button("up", `Move ${name} up`, "↑", at === 0, () => move(at, -1)),
          button("down", `Move ${name} down`, "↓", at === list.length - 1, () => move(at, 1)),
          button("remove", `Remove ${name}`, "×", false, () => remove(at)));
        return row;
      }));
      presets();
    }

    const select = make("select", { "aria-label": "Add a preset" });
    let groups = [];
    function presets() {
      groups = [["This model", clean(props.known)], ...Object.entries(props.moods || {})];
      const option = (suffix) => make("option", { value: suffix, disabled: list.includes(suffix) }, short(suffix));
      const group = ([name, suffixes], at) => make("optgroup", { label: name },
        ...(at ? [make("option", { value: `all ${at}` }, `All ${suffixes.length} of “${name}”`)] : []), ...suffixes.map(option));
      select.replaceChildren(make("option", { value: "", selected: true }, "Presets"), ...groups.map(group));
    }
    select.addEventListener("change", () => {
      const chosen = select.value, all = /^all (\d+)$/.exec(chosen);
      select.value = "";
      if (chosen) add(all ? groups[all[1]][1] : [chosen]);
    });
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); addTyped(); } });

    element.replaceChildren(
      rows,
      make("div", { class: "suffix-add" }, field, make("button", { type: "button", class: "add", on: { click: addTyped } }, "Add")),
      make("div", { class: "suffix-more" }, select,
        make("button", {
          type: "button", class: "reset", title: "The suffixes of this model",
          on: { click: () => change(clean(props.own), "The suffixes of this model") },
        }, "Defaults")),
      ownSets(props, () => list, (suffixes, name) => change(suffixes, `Loaded ${name}`)),
      spoken);
    draw();
    watch(["value", "own", "known"], () => {
      if (JSON.stringify(list) !== JSON.stringify(props.value)) list = clean(props.value);
      else if (element.contains(document.activeElement)) return;
      draw();
    });
  }

  // A folded list of the visitor's own sets, with a field to save the present list under a name.
  function ownSets(props, current, load) {
    const rows = make("ul", { "aria-label": "Your sets" });
    const note = make("p", { class: "quiet", role: "status" });
    const name = make("input", {
      type: "text", maxlength: LONGEST_NAME, placeholder: "name of the set", autocomplete: "off", "aria-label": "Name of the set",
    });
    const read = () => readSets(props.most, props.longest);

    function write(sets, say) {
      try { localStorage.setItem(KEY, JSON.stringify(sets)); note.textContent = say; }
      catch { note.textContent = "This browser keeps nothing for this page, so the set was not saved."; }
      draw();
    }
    function save() {
      const title = name.value.trim(), list = [...current()], others = read().filter(([other]) => other !== title);
      if (!title) note.textContent = "Give the set a name first.";
      else if (!isList(list, props.most, props.longest)) note.textContent = `A set holds 1 to ${props.most} suffixes, all different, each with a word.`;
      else if (others.length >= MOST_SETS) note.textContent = `There are ${MOST_SETS} sets already; delete one first.`;
      else { write([...others, [title, list]], `Saved ${title}`); name.value = ""; }
      name.focus();
    }
    function draw() {
      rows.replaceChildren(...read().map(([title, suffixes]) => {
        const text = suffixes.map(short).join(", ");
        return make("li", {},
          make("button", { type: "button", class: "load", "aria-label": `Load ${title}`, title: text, on: { click: () => { load([...suffixes], title); note.textContent = `Loaded ${title}`; } } },
            make("b", {}, title), make("span", {}, text)),
          make("button", {
            type: "button", class: "remove", "aria-label": `Delete ${title}`, title: `Delete ${title}`,
            on: { click: () => { write(read().filter(([other]) => other !== title), `Deleted ${title}`); name.focus(); } },
          }, "×"));
      }));
      rows.hidden = !rows.children.length;
    }
    name.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); save(); } });
    addEventListener("storage", (event) => { if (event.key === KEY || event.key === null) draw(); });
    draw();
    return make("details", { class: "suffix-sets" }, make("summary", {}, "Your sets"), rows,
      make("div", { class: "suffix-add" }, name, make("button", { type: "button", on: { click: save } }, "Save")), note);
  }

  Object.assign(window.secondRound, { suffixList });
})();
