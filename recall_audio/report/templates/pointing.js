// Mouse, touch and keys.
const pointers = new Map();
let pressed = null, pinch = 0;

const place = (event) => {
  const box = stage.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
};

function spread() {
  const [a, b] = [...pointers.values()];
  return { gap: Math.max(10, Math.abs(a.x - b.x)), middle: (a.x + b.x) / 2 };
}

stage.addEventListener('pointerdown', (event) => {
  if (event.button) return;
  const p = place(event);
  pointers.set(event.pointerId, p);
  stage.setPointerCapture(event.pointerId);
  pressed = pointers.size === 1 ? { ...p, from: shown.from, moved: false } : null;
  if (pointers.size === 2) pinch = spread().gap;
});

stage.addEventListener('pointermove', (event) => {
  const p = place(event);
  hover(p);
  if (!pointers.has(event.pointerId)) return;
  pointers.set(event.pointerId, p);
  if (pointers.size === 2) {
    const now = spread();
    zoom(pinch / now.gap, timeAt(now.middle));
    pinch = now.gap;
  } else if (pressed && (pressed.moved || Math.abs(p.x - pressed.x) > 4)) {
    pressed.moved = true;
    stage.classList.add('dragging');
    const span = shown.to - shown.from, from = pressed.from - ((p.x - pressed.x) / widthOf()) * span;
    show(from, from + span);
  }
});

function release(event, click) {
  pointers.delete(event.pointerId);
  stage.classList.remove('dragging');
  const was = pressed;
  pressed = null;
  if (click && was && !was.moved) playFrom(timeAt(was.x), laneAt(was.y));
}
stage.addEventListener('pointerup', (event) => release(event, true));
stage.addEventListener('pointercancel', (event) => release(event, false));
stage.addEventListener('pointerleave', () => { element('tip').hidden = true; element('hair').hidden = true; });

stage.addEventListener('wheel', (event) => {
  const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX, span = shown.to - shown.from;
  if (event.ctrlKey || event.metaKey) zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.008), timeAt(place(event).x));
  else if (Math.abs(sideways) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) pan((sideways / widthOf()) * span);
  else return; // a plain wheel scrolls the page
  event.preventDefault();
}, { passive: false });

function hover(p) {
  const t = timeAt(p.x), index = laneAt(p.y), tip = element('tip'), fine = shown.to - shown.from < 120 ? 2 : 1;
  const lines = [clock(t, fine)];
  if (index >= 0 && index < lanes.length) lines.push(...about(lanes[index], t, fine));
  else if (index === lanes.length && at(swept.together, t) >= 0) lines.push(`${swept.together.counts[at(swept.together, t)]} at once`);
  else if (index > lanes.length && at(orphan, t) >= 0) lines.push('sound in no track');
  tip.textContent = lines.join('\n');
  tip.hidden = element('hair').hidden = false;
  element('hair').style.transform = `translateX(${p.x}px)`;
  const x = p.x + 14 + tip.offsetWidth > widthOf() ? p.x - 14 - tip.offsetWidth : p.x + 14;
  tip.style.transform = `translate(${Math.max(0, x)}px, ${Math.max(0, Math.min(p.y + 12, stage.clientHeight - tip.offsetHeight))}px)`;
}

function about(lane, t, fine) {
  const i = at(lane.speech, t), s = lane.speech;
  const line = (name, k, list) => `${name} ${clock(list.start[k], fine)} – ${clock(list.end[k], fine)} (${(list.end[k] - list.start[k]).toFixed(fine)} s)`;
  if (i >= 0) return [lane.name, line('speaks', i, s), ...(at(lane.over, t) >= 0 ? ['over another person'] : [])];
  const k = at(lane.taken, t);
  if (k >= 0) return [lane.name, line('leaked voice', k, lane.taken)];
  return [lane.name, lane.parts.n && at(lane.parts, t) < 0 ? 'no recording here' : 'silent'];
}

function nextSpeech(forwards) {
  const starts = lanes.map(({ speech }) => {
    const i = firstAfter(speech, shown.cursor);
    if (forwards) { const k = i < speech.n && speech.start[i] > shown.cursor + 0.001 ? i : i + 1; return k < speech.n ? speech.start[k] : Infinity; }
    const k = i < speech.n && speech.start[i] < shown.cursor - 0.001 ? i : i - 1;
    return k >= 0 ? speech.start[k] : -Infinity;
  });
  const t = forwards ? Math.min(...starts) : Math.max(...starts);
  return Number.isFinite(t) ? t : shown.cursor;
}

function jump(t) {
  moveCursor(t);
  if (!audio.paused) playFrom(shown.cursor);
}

const keys = {
  ArrowRight: (e) => jump(shown.cursor + (e.shiftKey ? 10 : 1)),
  ArrowLeft: (e) => jump(shown.cursor - (e.shiftKey ? 10 : 1)),
  PageDown: () => jump(shown.cursor + (shown.to - shown.from)),
  PageUp: () => jump(shown.cursor - (shown.to - shown.from)),
  Home: () => jump(0),
  End: () => jump(duration),
  '+': () => zoom(0.5, anchor()),
  '=': () => zoom(0.5, anchor()),
  '-': () => zoom(2, anchor()),
  0: () => show(0, duration),
  n: () => jump(nextSpeech(true)),
  p: () => jump(nextSpeech(false)),
  ' ': toggle,
  Enter: toggle,
};
stage.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = keys[event.key] || keys[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act(event);
});

const buttons = {
  'zoom-in': () => zoom(0.5, anchor()), 'zoom-out': () => zoom(2, anchor()), 'zoom-all': () => show(0, duration),
  'pan-back': () => pan(-(shown.to - shown.from) / 2), 'pan-on': () => pan((shown.to - shown.from) / 2),
};
for (const [id, act] of Object.entries(buttons)) element(id).addEventListener('click', act);

function overviewAt(event) {
  const box = overview.getBoundingClientRect(), t = ((event.clientX - box.left) / box.width) * duration, half = (shown.to - shown.from) / 2;
  show(t - half, t + half);
}
overview.addEventListener('pointerdown', (event) => { overview.setPointerCapture(event.pointerId); overviewAt(event); });
overview.addEventListener('pointermove', (event) => { if (event.buttons) overviewAt(event); });
