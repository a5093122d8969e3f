// Runs before the first paint. Without a chosen theme, the page follows the system. Cached public
// pages do not contain the choice, so it is read from the cookie.
const root = document.documentElement;
root.dataset.bsTheme ||= /(?:^|; )theme=(light|dark)/.exec(document.cookie)?.[1] ?? "";
if (!root.dataset.bsTheme) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    if (!root.dataset.themeChosen) root.dataset.bsTheme = dark.matches ? "dark" : "light";
  };
  follow();
  dark.addEventListener("change", follow);
} else {
  root.dataset.themeChosen = "1";
}
root.classList.add("js");

// Always print in the light theme.
let onScreen;
addEventListener("beforeprint", () => {
  onScreen = root.dataset.bsTheme;
  root.dataset.bsTheme = "light";
});
addEventListener("afterprint", () => {
  root.dataset.bsTheme = onScreen;
});
