// When the page draws.

// A tab that is not seen has no frames.
const HIDDEN_MS = 250;

/** Calls back before the next frame, or soon in a tab that is not seen. */
export function nextFrame(draw: () => void): void {
  if (document.hidden) setTimeout(draw, HIDDEN_MS);
  else requestAnimationFrame(draw);
}
