// Shares in words, and how far they can be trusted: `pneumonia/figures` in the browser,
// for what changes there. A test compares both.

/** Put values into a sentence with places for them in braces. */
export const fill = (text, values) => text.replace(/{(\w+)}/g, (_, name) => values[name]);

/** A share in [0, 1] in per cent. */
export const percent = (x) => `${Math.round(100 * x)}%`;

/** A probability in per cent, but never as 0 or 100 %. */
export const probability = (p) => p < 0.01 ? "under 1%" : p > 0.99 ? "over 99%" : percent(p);

/** Ends of the 95 % interval of a share of n (Wilson 1927). */
export function interval(share, n) {
  const z = 1.96, middle = (share + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n))) / (1 + (z * z) / n);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** The share of values that are at least x. */
export const atLeast = (values, x) => values.filter((value) => value >= x).length / values.length;

/** How often a sick one scores higher than a well one; null where there is no pair. */
export function auroc(sick, well) {
  if (!sick.length || !well.length) return null;
  let wins = 0;
  for (const a of sick) for (const b of well) wins += a > b ? 1 : a === b ? 0.5 : 0;
  return wins / (sick.length * well.length);
}

/** The ROC curve: false alarms and found, from the highest score on. */
export function roc(sick, well) {
  const from = [...new Set([...sick, ...well])].sort((a, b) => b - a);
  return [[0, 0], ...from.map((x) => [atLeast(well, x), atLeast(sick, x)])];
}
