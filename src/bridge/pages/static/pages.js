// What makes pages handier; everything works without it.
(() => {
  "use strict";

  const copy = (button) => {
    const source = document.getElementById(button.dataset.copy);
    navigator.clipboard.writeText(source.textContent).then(() => {
      const said = button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = said; }, 1500);
    });
  };
  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", () => copy(button));
    }
  }

  // Choosing in a filter applies it; empty fields stay out of the address.
  for (const form of document.querySelectorAll("form.filters")) {
    form.addEventListener("submit", () => {
      for (const field of form.elements) {
        if (field.name && field.value === "") field.disabled = true;
      }
    });
    for (const select of form.querySelectorAll("select")) {
      select.addEventListener("change", () => form.requestSubmit());
    }
  }
  window.addEventListener("pageshow", () => {
    for (const field of document.querySelectorAll("form.filters [name]")) field.disabled = false;
  });

  // "/" goes to the search box.
  document.addEventListener("keydown", (event) => {
    const box = document.querySelector("input[type=search]");
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
    if (event.key === "/" && box && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      box.focus();
      box.select();
    }
  });

  // Live: the list is asked for again every few seconds, and replaced when there is more in it.
  const LIVE_MS = 3000;
  const live = document.querySelector("[data-live]");
  if (live) {
    let timer = null;
    const button = live.querySelector("button");
    const fetchMore = async () => {
      const list = document.getElementById("list");
      const address = new URL(location.href);
      address.searchParams.set("newest", list.dataset.newest ?? "");
      try {
        const answer = await fetch(address, { redirect: "error" });
        if (answer.status === 200) {
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          const fresh = page.getElementById("list");
          if (fresh && fresh.dataset.newest !== list.dataset.newest) {
            list.replaceWith(document.adoptNode(fresh));
          }
        }
      } catch {
        stop();
        return;
      }
      if (timer !== null) timer = setTimeout(fetchMore, LIVE_MS);
    };
    const stop = () => {
      clearTimeout(timer);
      timer = null;
      button.setAttribute("aria-pressed", "false");
      live.querySelector(".live-dot").hidden = true;
    };
    const start = () => {
      timer = setTimeout(fetchMore, LIVE_MS);
      button.setAttribute("aria-pressed", "true");
      live.querySelector(".live-dot").hidden = false;
    };
    live.hidden = false;
    button.addEventListener("click", () => (timer === null ? start() : stop()));
  }
})();
