// Click a heading to sort by it, once more to turn the order round. Without scripts the table is as it was written.
for (const heading of document.querySelectorAll("th[data-sort]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => {
    const table = heading.closest("table"), column = heading.cellIndex;
    const down = heading.getAttribute("aria-sort") === "descending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "ascending" : "descending");
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const x = Number(key(a)), y = Number(key(b));
      if (Number.isNaN(x) || Number.isNaN(y)) {
        return Number.isNaN(x) && Number.isNaN(y) ? key(a).localeCompare(key(b)) * (down ? 1 : -1) : Number.isNaN(x) ? 1 : -1;
      }
      return down ? x - y : y - x;
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
  });
}
