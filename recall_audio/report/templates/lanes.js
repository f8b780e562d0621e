// Drawing: a lane a speaker, a lane for how many at once, and the overview below.
const stage = element('stage'), canvas = element('lanes'), overview = element('overview');
const lanes = whole.lanes.map((lane) => ({
  ...lane, speech: spans(lane.speech), taken: spans(lane.taken), parts: spans(lane.parts), presence: spans(lane.presence),
}));
const orphan = spans(whole.unexplained);
const swept = sweep(lanes.map((lane) => lane.speech));
lanes.forEach((lane, i) => { lane.over = swept.over[i]; });
const marks = lanes.map((_, i) => whole.marks.filter((m) => m[1] === i).map((m) => [m[0] / 1000, m[2]]));
const narrow = matchMedia('(max-width: 40rem)');
const AXIS = 26, FAR = 0.6; // px of the axis; seconds a pixel from which single stretches are too thin to draw
let colours = {}, hatch = null;

const laneHeight = () => (narrow.matches ? 44 : 36);
const widthOf = () => stage.clientWidth;
const xOf = (t) => ((t - shown.from) / (shown.to - shown.from)) * widthOf();
const timeAt = (x) => shown.from + (x / widthOf()) * (shown.to - shown.from);
const laneAt = (y) => Math.floor((y - AXIS) / laneHeight());

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue('--' + name).trim();
  colours = { speakers: Array.from({ length: 10 }, (_, i) => get('s' + i)) };
  for (const name of ['paper', 'ink', 'soft', 'line', 'part', 'over', 'gap', 'accent', 'wash']) colours[name] = get(name);
  hatch = null;
}

function prepare(target, height) {
  const ratio = devicePixelRatio || 1, width = target.clientWidth;
  if (target.width !== Math.round(width * ratio) || target.height !== Math.round(height * ratio)) {
    target.width = Math.round(width * ratio);
    target.height = Math.round(height * ratio);
    target.style.height = height + 'px';
  }
  const ink = target.getContext('2d');
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  ink.clearRect(0, 0, width, height);
  return ink;
}

function hatched(ink) {
  if (ink instanceof SvgPen) return colours.wash;
  if (hatch) return hatch;
  const tile = document.createElement('canvas');
  tile.width = tile.height = 6;
  const pen = tile.getContext('2d');
  pen.strokeStyle = colours.gap;
  pen.beginPath();
  for (const d of [-6, 0, 6]) { pen.moveTo(d, 6); pen.lineTo(d + 6, 0); }
  pen.stroke();
  hatch = ink.createPattern(tile, 'repeat');
  return hatch;
}

// Draws stretches that can be seen one by one; each is at least a hair wide.
function each(s, draw) {
  for (let i = firstAfter(s, shown.from); i < s.n && s.start[i] < shown.to; i++) {
    const x = xOf(s.start[i]);
    draw(x, Math.max(0.75, xOf(s.end[i]) - x), i);
  }
}

// Draws the share of each pixel's time that is covered. Raised to 0.6: of ten people each speaks a tenth of the
// time, and that must show beside a person who speaks all of it.
function shares(s, draw) {
  const width = widthOf();
  let last = coveredTo(s, timeAt(0));
  for (let x = 0; x < width; x++) {
    const next = coveredTo(s, timeAt(x + 1)), share = (next - last) / (timeAt(x + 1) - timeAt(x));
    if (share > 0.001) draw(x, Math.min(1, share) ** 0.6);
    last = next;
  }
}

function drawLane(ink, lane, index, far) {
  const top = AXIS + index * laneHeight(), low = top + laneHeight(), middle = low - 17, width = widthOf();
  ink.fillStyle = hatched(ink);
  ink.fillRect(0, middle - 12, width, 24);
  ink.fillStyle = colours.part;
  each(lane.parts, (x, w) => ink.fillRect(x, middle - 12, w, 24));
  if (!lane.parts.n) ink.fillRect(0, middle - 12, width, 24);
  ink.fillStyle = colours.line;
  ink.fillRect(0, top, width, 1);
  each(lane.parts, (x, w) => { ink.fillRect(x, middle - 12, 1, 24); ink.fillRect(x + w - 1, middle - 12, 1, 24); });
  drawTaken(ink, lane, middle, far);
  ink.fillStyle = colours.speakers[lane.colour];
  if (far) shares(lane.speech, (x, share) => ink.fillRect(x, middle - Math.max(0.75, 9 * share), 1, Math.max(1.5, 18 * share)));
  else each(lane.speech, (x, w) => { ink.beginPath(); ink.roundRect(x, middle - 8, w, 15, Math.min(3, w / 2)); ink.fill(); });
  ink.fillStyle = colours.over;
  if (far) shares(lane.over, (x, share) => ink.fillRect(x, middle + 12 - Math.max(0.75, 5 * share), 1, Math.max(0.75, 5 * share)));
  else each(lane.over, (x, w) => ink.fillRect(x, middle + 8, w, 3));
  ink.fillStyle = colours.soft;
  for (const t of lane.steps) if (t / 1000 >= shown.from && t / 1000 <= shown.to) ink.fillRect(xOf(t / 1000) - 1, middle - 12, 2, 24);
  if (!far) drawMarks(ink, marks[index], middle);
}

// What was put down to others is a quiet line: it must not drown the speech that counts.
function drawTaken(ink, lane, middle, far) {
  ink.fillStyle = colours.gap;
  if (!far) each(lane.taken, (x, w) => ink.fillRect(x, middle - 1.5, w, 2));
}

// An interruption is a triangle above its start; nearer than 7 px they are drawn as one.
function drawMarks(ink, list, middle) {
  ink.fillStyle = colours.ink;
  let last = -Infinity;
  for (const [t] of list) {
    const x = xOf(t);
    if (t < shown.from || t > shown.to || x - last < 7) continue;
    last = x;
    ink.beginPath();
    ink.moveTo(x - 4, middle - 15); ink.lineTo(x + 4, middle - 15); ink.lineTo(x, middle - 8);
    ink.fill();
  }
}

function drawTogether(ink, far) {
  const top = AXIS + lanes.length * laneHeight(), low = top + laneHeight() - 6;
  ink.fillStyle = colours.line;
  ink.fillRect(0, top, widthOf(), 1);
  ink.fillStyle = colours.over;
  const room = laneHeight() - 12, most = Math.max(2, lanes.length);
  if (far) shares(swept.together, (x, share) => ink.fillRect(x, low - room * share, 1, room * share));
  else each(swept.together, (x, w, i) => {
    const h = Math.max(4, (room * Math.min(1, (swept.together.counts[i] - 1) / Math.min(4, most - 1))));
    ink.fillRect(x, low - h, w, h);
  });
}

function drawOrphan(ink, far) {
  if (!orphan.n) return;
  const top = AXIS + (lanes.length + 1) * laneHeight(), middle = top + laneHeight() - 17;
  ink.fillStyle = colours.line;
  ink.fillRect(0, top, widthOf(), 1);
  ink.fillStyle = colours.soft;
  if (far) shares(orphan, (x, share) => ink.fillRect(x, middle - 9 * share, 1, Math.max(1.5, 18 * share)));
  else each(orphan, (x, w) => ink.fillRect(x, middle - 8, w, 15));
}

function tickStep(least) {
  return [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].find((s) => s >= least) || 14400;
}

function drawAxis(ink, height) {
  const width = widthOf(), step = tickStep(((shown.to - shown.from) / width) * 84);
  ink.font = '12px system-ui, sans-serif';
  ink.textBaseline = 'top';
  for (let k = Math.ceil(shown.from / step - 1e-9); k * step <= shown.to; k++) {
    const x = xOf(k * step), label = clock(k * step, step < 1 ? 1 : 0), w = ink.measureText(label).width;
    ink.fillStyle = colours.line;
    ink.fillRect(x, 18, 1, height - 18);
    ink.fillStyle = colours.soft;
    ink.fillText(label, Math.min(Math.max(5, x - w / 2), width - w), 3);
  }
}

const heightOf = () => AXIS + (lanes.length + (orphan.n ? 2 : 1)) * laneHeight();

function drawAll(ink) {
  const far = (shown.to - shown.from) / Math.max(1, widthOf()) > FAR;
  drawAxis(ink, heightOf());
  lanes.forEach((lane, i) => drawLane(ink, lane, i, far));
  drawTogether(ink, far);
  drawOrphan(ink, far);
}

// The stretch shown as a picture to save, with the names of its lanes.
function svgTimeline() {
  const pen = new SvgPen(), names = [...lanes.map((lane) => lane.name), 'At once', ...(orphan.n ? ['In no track'] : [])];
  const left = Math.min(260, 24 + 7 * Math.max(...names.map((name) => name.length)));
  pen.fillStyle = colours.ink;
  names.forEach((name, i) => pen.fillText(name.length > 34 ? `${name.slice(0, 33)}…` : name, 8, AXIS + i * laneHeight() + laneHeight() / 2 - 6));
  pen.x = left;
  drawAll(pen);
  const width = left + widthOf() + 8, height = heightOf() + 4;
  return { text: pen.svg(width, height, colours.paper), width, height };
}

function draw() {
  drawAll(prepare(canvas, heightOf()));
  drawOverview();
  placeCursor();
  element('window').textContent = `${clock(shown.from)} – ${clock(shown.to)}`;
}

function drawOverview() {
  const ink = prepare(overview, 34), width = overview.clientWidth;
  ink.fillStyle = colours.part;
  ink.fillRect(0, 0, width, 34);
  const low = new Float64Array(width).fill(34);
  for (const lane of lanes) {
    ink.fillStyle = colours.speakers[lane.colour];
    let last = 0;
    for (let x = 0; x < width; x++) {
      const next = coveredTo(lane.speech, ((x + 1) / width) * duration), h = (28 * (next - last) * width) / duration;
      if (h > 0.05) ink.fillRect(x, (low[x] -= h), 1, h);
      last = next;
    }
  }
  ink.globalAlpha = 0.6;
  ink.fillStyle = colours.paper;
  const a = (shown.from / duration) * width, b = (shown.to / duration) * width;
  ink.fillRect(0, 0, a, 34);
  ink.fillRect(b, 0, width - b, 34);
  ink.globalAlpha = 1;
  ink.strokeStyle = colours.accent;
  ink.lineWidth = 2;
  ink.strokeRect(a + 1, 1, Math.max(2, b - a - 2), 32);
}

function placeCursor() {
  element('cursor').style.transform = `translateX(${xOf(shown.cursor) - 1}px)`;
  element('now').textContent = clock(shown.cursor, 1);
  fillSaid(shown.cursor);
  const speaking = lanes.filter((lane) => at(lane.speech, shown.cursor) >= 0).map((lane) => lane.name);
  const said = `${clock(shown.cursor)}, ${speaking.length ? speaking.join(' and ') + ' speaking' : 'no one speaking'}`;
  const second = String(Math.floor(shown.cursor));
  if (stage.getAttribute('aria-valuenow') !== second || !said.startsWith(stage.getAttribute('aria-valuetext'))) {
    stage.setAttribute('aria-valuenow', second);
    stage.setAttribute('aria-valuetext', said);
  }
}
