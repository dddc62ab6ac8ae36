// Scripts of tabs that few visitors open: each is loaded with its tab, and not before.
const LATER = {
  "batch-table": "./batch.js",
  "compare-two": "./compare.js",
  "number-meaning": "./meaning.js",
  "reading-room": "./reading.js",
  "yours-room": "./yours.js",
};

function look() {
  for (const [name, script] of Object.entries(LATER)) {
    if (!document.querySelector(name)) continue;
    delete LATER[name];
    import(script);
  }
  if (!Object.keys(LATER).length) watch.disconnect();
}

const watch = new MutationObserver(look);
watch.observe(document.documentElement, { childList: true, subtree: true });
look();
