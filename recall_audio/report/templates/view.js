// What stretch of the meeting is shown, and where the cursor stands: the one state that all drawing follows.
const duration = Math.max(0.001, (whole.duration || 0) / 1000);
const shown = { from: 0, to: duration, cursor: 0 };
const SHORTEST = Math.min(duration, 0.5);
const watchers = [];
let waiting = false;

function changed() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; for (const watcher of watchers) watcher(); });
}

function show(from, to) {
  const span = Math.min(duration, Math.max(SHORTEST, to - from));
  shown.from = Math.min(Math.max(0, from), duration - span);
  shown.to = shown.from + span;
  changed();
}

function zoom(factor, around) {
  const span = Math.min(duration, Math.max(SHORTEST, (shown.to - shown.from) * factor));
  const share = (around - shown.from) / (shown.to - shown.from);
  show(around - share * span, around + (1 - share) * span);
}

const pan = (seconds) => show(shown.from + seconds, shown.to + seconds);

// Zooming by button keeps the cursor in place where it can be seen, the middle where it cannot.
const anchor = () => (shown.cursor >= shown.from && shown.cursor <= shown.to ? shown.cursor : (shown.from + shown.to) / 2);

function moveCursor(t, follow = true) {
  shown.cursor = Math.min(duration, Math.max(0, t));
  const span = shown.to - shown.from;
  if (follow && (shown.cursor < shown.from || shown.cursor > shown.to)) show(shown.cursor - span * 0.1, shown.cursor + span * 0.9);
  placeCursor();
}
