"use strict";
const search = document.getElementById("search");
const found = document.getElementById("found");
const rows = Array.from(document.querySelectorAll("tr.row"));
const texts = rows.map((row) => row.textContent.toLowerCase());
search.closest("div").hidden = rows.length === 0;
search.addEventListener("input", () => {
  const wanted = search.value.toLowerCase();
  let count = 0;
  rows.forEach((row, index) => {
    row.hidden = !texts[index].includes(wanted);
    count += row.hidden ? 0 : 1;
  });
  found.textContent = wanted === "" ? "" : `${count} of ${rows.length} rows`;
});
