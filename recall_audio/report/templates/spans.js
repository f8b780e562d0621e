// Stretches of time: decoded from [pause, length, ...] in ms, with sums that answer "how much of a to b" at once.
function spans(pairs) {
  const n = pairs.length / 2;
  const start = new Float64Array(n), end = new Float64Array(n), before = new Float64Array(n + 1);
  let ms = 0;
  for (let i = 0; i < n; i++) {
    start[i] = (ms += pairs[2 * i]) / 1000;
    end[i] = (ms += pairs[2 * i + 1]) / 1000;
    before[i + 1] = before[i] + (end[i] - start[i]);
  }
  return { n, start, end, before };
}

function spansOf(list) { // [[start, end], ...] in seconds
  const n = list.length;
  const start = new Float64Array(n), end = new Float64Array(n), before = new Float64Array(n + 1);
  for (let i = 0; i < n; i++) {
    start[i] = list[i][0];
    end[i] = list[i][1];
    before[i + 1] = before[i] + (end[i] - start[i]);
  }
  return { n, start, end, before };
}

// The first stretch that ends after t; n where there is none.
function firstAfter(s, t) {
  let low = 0, high = s.n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (s.end[middle] > t) high = middle; else low = middle + 1;
  }
  return low;
}

function coveredTo(s, t) {
  const i = firstAfter(s, t);
  return s.before[i] + (i < s.n ? Math.max(0, t - s.start[i]) : 0);
}

const covered = (s, a, b) => coveredTo(s, b) - coveredTo(s, a);

// The stretch that holds t, or -1.
function at(s, t) {
  const i = firstAfter(s, t);
  return i < s.n && s.start[i] <= t ? i : -1;
}

// One sweep over all lanes: where at least two speak (with how many), and what of each lane is spoken over another.
function sweep(lanes) {
  let n = 0;
  for (const lane of lanes) n += 2 * lane.n;
  const time = new Float64Array(n), who = new Int32Array(n); // who: lane + 1, negative where it ends
  let k = 0;
  lanes.forEach((lane, index) => {
    for (let i = 0; i < lane.n; i++) {
      time[k] = lane.start[i]; who[k++] = index + 1;
      time[k] = lane.end[i]; who[k++] = -index - 1;
    }
  });
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => time[a] - time[b] || who[a] - who[b]);
  const speaking = new Set(), over = lanes.map(() => []), together = [], counts = [];
  let last = 0;
  for (const e of order) {
    const t = time[e];
    if (t > last && speaking.size > 1) {
      push(together, counts, last, t, speaking.size);
      for (const index of speaking) extend(over[index], last, t);
    }
    if (who[e] > 0) speaking.add(who[e] - 1); else speaking.delete(-who[e] - 1);
    last = t;
  }
  return { together: { ...spansOf(together), counts }, over: over.map(spansOf) };
}

function push(list, counts, a, b, size) {
  const top = list.length - 1;
  if (top >= 0 && list[top][1] === a && counts[top] === size) list[top][1] = b;
  else { list.push([a, b]); counts.push(size); }
}

function extend(list, a, b) {
  const top = list.length - 1;
  if (top >= 0 && list[top][1] === a) list[top][1] = b; else list.push([a, b]);
}

function clock(t, digits = 0) {
  const unit = 10 ** digits, whole = Math.round(Math.max(0, t) * unit), s = Math.floor(whole / unit);
  const two = (v) => String(v).padStart(2, '0');
  const part = digits ? '.' + String(whole % unit).padStart(digits, '0') : '';
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}${part}`;
}

const element = (id) => document.getElementById(id);
const whole = JSON.parse(element('data').textContent);
