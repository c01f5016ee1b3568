"use strict";

// Before and after: a range moves the line between two pictures that lie on each other.

for (const stage of document.querySelectorAll(".compare .stage")) {
  const range = stage.querySelector("input[type=range]");
  const follow = () => {
    stage.style.setProperty("--at", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} % of the original`);
  };
  range.addEventListener("input", follow);
  range.hidden = false;
  follow();
}
