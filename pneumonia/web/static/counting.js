// Shares in words, and how far they can be trusted.

/** Put values into a sentence with places for them in braces. */
export const fill = (text, values) => text.replace(/{(\w+)}/g, (_, name) => values[name]);

/** A share in [0, 1] in per cent. */
export const percent = (x) => `${Math.round(100 * x)}%`;

/** Ends of the 95 % interval of a share of n (Wilson 1927). */
export function interval(share, n) {
  const z = 1.96, middle = (share + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n))) / (1 + (z * z) / n);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
