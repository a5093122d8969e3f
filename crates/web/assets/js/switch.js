// Theme buttons: data-theme-set="light|dark|auto". The choice is stored in a cookie read by the
// server.
const root = document.documentElement;

function mark() {
  const chosen = root.dataset.themeChosen ? root.dataset.bsTheme : "auto";
  for (const button of document.querySelectorAll("[data-theme-set]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeSet === chosen));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-set]");
  if (!button) return;
  const theme = button.dataset.themeSet;
  const auto = theme === "auto";
  document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax`;
  if (auto) delete root.dataset.themeChosen;
  else root.dataset.themeChosen = "1";
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.bsTheme = auto ? (dark ? "dark" : "light") : theme;
  mark();
});
mark();
