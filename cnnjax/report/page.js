"use strict";
// Sorts a table by the column whose heading is pressed; numbers stand in data-value.
for (const table of document.querySelectorAll("table.sorted")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => {
        const cell = row.cells[column];
        return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
      };
      const rows = [...body.rows].sort((one, other) => {
        const [a, b] = [key(one), key(other)];
        const order = typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
        return up ? order : -order;
      });
      body.append(...rows);
    });
  });
}
// Hides what does not hold the words of a filter, and says how much is left.
for (const filter of document.querySelectorAll("[data-filter]")) {
  const items = [...document.getElementById(filter.dataset.filter).querySelectorAll("[data-words]")];
  const said = document.getElementById(filter.id + "-said");
  const apply = () => {
    const words = filter.value.trim().toLowerCase();
    let left = 0;
    for (const item of items) {
      const fits = filter.tagName === "SELECT"
        ? !words || item.dataset.words.toLowerCase() === words
        : item.dataset.words.toLowerCase().includes(words);
      item.hidden = !fits;
      left += fits;
    }
    said.textContent = `${left} of ${items.length}`;
  };
  filter.addEventListener("input", apply);
  filter.closest(".filter").hidden = false;
  apply();
}
