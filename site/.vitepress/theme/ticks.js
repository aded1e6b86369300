// Checklists that can be ticked: what is ticked stays so in this browser, for each page.

const BOX = ".vp-doc .task-list-item-checkbox";
const boxes = () => [...document.querySelectorAll(BOX)];
const place = () => `ticks:${location.pathname}`;

function show() {
  const ticked = new Set(JSON.parse(localStorage.getItem(place()) ?? "[]"));
  boxes().forEach((box, index) => (box.checked = ticked.has(index)));
}

export function keepTicks(router) {
  document.addEventListener("change", ({ target }) => {
    if (!target.matches?.(BOX)) return;
    const ticked = boxes().flatMap((box, index) => (box.checked ? [index] : []));
    localStorage.setItem(place(), JSON.stringify(ticked));
  });
  const before = router.onAfterRouteChange;
  router.onAfterRouteChange = async (to) => {
    await before?.(to);
    setTimeout(show);
  };
  window.addEventListener("load", () => setTimeout(show));
}
