"use strict";
// A click, or Enter or Space, on a heading sorts its table: by numbers from the
// largest, by words from A. What is not known stays last.
document.querySelectorAll("table.sortable thead button").forEach((button) => {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const table = heading.closest("table");
    const body = table.tBodies[0];
    const column = heading.cellIndex;
    const value = (row) => row.cells[column].dataset.value;
    const known = (row) => value(row) !== undefined;
    const rows = Array.from(body.rows);
    const numeric = rows.filter(known).every((row) => value(row) !== "" && !isNaN(value(row)));
    const before = heading.getAttribute("aria-sort");
    const ascending = before === null ? !numeric : before === "descending";
    table.querySelectorAll("th[aria-sort]").forEach((th) => th.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    rows.sort((one, other) => {
      if (!known(one) || !known(other)) return known(other) - known(one);
      const order = numeric
        ? value(one) - value(other)
        : value(one).localeCompare(value(other), undefined, { numeric: true });
      return ascending ? order : -order;
    });
    body.append(...rows);
  });
});
