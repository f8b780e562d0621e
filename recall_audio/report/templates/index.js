// Filtering, sorting and searching the meetings of a batch, and each person's share over time.
const element = (id) => document.getElementById(id);
const whole = JSON.parse(element('data').textContent);
const table = element('rows'), body = table.tBodies[0], all = [...body.rows];
const heads = [...table.tHead.rows[0].cells];
const words = all.map((row) => row.textContent.toLowerCase());
const chosen = (id) => (element(id) ? element(id).value : '');
const canvases = [...document.querySelectorAll('.multiples canvas')];
const HIGH = 44, LABEL = 200;
const measured = new Set(whole.people.flatMap((p) => p.talk.map(([i]) => i)));
let visible = whole.meetings.map(() => true), colours = {};

function isWanted(row, i) {
  const wanted = chosen('search').toLowerCase().split(/\s+/).filter(Boolean);
  return wanted.every((w) => words[i].includes(w))
    && !(element('only-bad').checked && row.dataset.rank === '0')
    && (!chosen('platform') || row.dataset.platform === chosen('platform'))
    && (!chosen('metadata') || row.dataset.metadata.split('\n').includes(chosen('metadata')))
    && (!chosen('from') || row.dataset.date >= chosen('from'))
    && (!chosen('to') || (row.dataset.date && row.dataset.date <= chosen('to')));
}

function filter() {
  let n = 0;
  visible = whole.meetings.map(() => false);
  all.forEach((row, i) => {
    row.hidden = !isWanted(row, i);
    if (!row.hidden) { n += 1; visible[Number(row.dataset.i)] = true; }
  });
  element('found').textContent = n === all.length ? '' : `${n} of ${all.length} shown`;
  drawPeople();
}

function sort(column) {
  const down = heads[column].getAttribute('aria-sort') === 'ascending' ? -1 : 1;
  const key = (row) => row.cells[column].dataset.sort;
  const numbers = all.every((row) => key(row) !== '' && !Number.isNaN(Number(key(row))));
  const order = numbers ? (a, b) => Number(key(a)) - Number(key(b)) : (a, b) => key(a).localeCompare(key(b));
  heads.forEach((head, i) => { if (i === column) head.setAttribute('aria-sort', down > 0 ? 'ascending' : 'descending'); else head.removeAttribute('aria-sort'); });
  body.append(...[...all].sort((a, b) => down * order(a, b)));
}

const talkOf = (person) => person.talk.filter(([i]) => visible[i]);
const topShare = () => Math.max(0.1, ...whole.people.flatMap((p) => talkOf(p).map(([, share, , high]) => high || share || 0)));

// One person: a bar a meeting with its interval; a dot where silent, a ring where not known, nothing where absent.
function drawPerson(ink, person, width, top) {
  const slots = [...measured].filter((i) => visible[i]).sort((a, b) => a - b);
  const step = width / Math.max(1, slots.length), bar = Math.max(1, Math.min(18, step * 0.7)), low = HIGH - 4;
  const y = (share) => low - (low - 4) * Math.min(1, share / top);
  ink.fillStyle = colours.line;
  ink.fillRect(0, low, width, 1);
  const at = new Map(slots.map((i, k) => [i, (k + 0.5) * step]));
  for (const [i, share, from, to] of talkOf(person)) {
    const x = at.get(i);
    ink.fillStyle = share === null ? colours.gap : colours.s0;
    if (share === null) { ink.strokeStyle = colours.soft; ink.strokeRect(x - 2, low - 5, 4, 4); }
    else if (share === 0) ink.fillRect(x - 1.5, low - 1, 3, 3);
    else ink.fillRect(x - bar / 2, y(share), bar, Math.max(1, low - y(share)));
    if (from !== null && to !== null && share !== null) { ink.fillStyle = colours.ink; ink.fillRect(x - 0.5, y(to), 1, Math.max(1, y(from) - y(to))); }
  }
}

function drawPeople() {
  const style = getComputedStyle(document.documentElement), top = topShare();
  for (const name of ['paper', 'ink', 'soft', 'line', 'gap', 's0']) colours[name] = style.getPropertyValue(`--${name}`).trim();
  if (element('top-share')) element('top-share').textContent = `${(100 * top).toFixed(0)} %`;
  canvases.forEach((canvas, k) => {
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, person = whole.people[k], talk = talkOf(person), row = canvas.closest('li');
    const known = talk.map(([, share]) => share).filter((share) => share !== null);
    row.hidden = talk.length === 0;
    row.querySelector('.count').textContent = String(new Set(talk.map(([i]) => i)).size);
    row.querySelector('.mean').textContent = known.length ? `${((100 * known.reduce((a, b) => a + b, 0)) / known.length).toFixed(1)} %` : '–';
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(HIGH * ratio);
    const ink = canvas.getContext('2d');
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawPerson(ink, person, width, top);
  });
}

function svgPeople() {
  const pen = new SvgPen(), width = 600, top = topShare(), shown = whole.people.filter((p) => talkOf(p).length);
  shown.forEach((person, k) => {
    pen.x = 0;
    pen.y = k * HIGH;
    pen.fillStyle = colours.ink;
    pen.fillText(person.name.length > 28 ? `${person.name.slice(0, 27)}…` : person.name, 8, HIGH / 2 - 6);
    pen.x = LABEL;
    drawPerson(pen, person, width, top);
  });
  const size = { width: LABEL + width + 8, height: shown.length * HIGH + 4 };
  return { text: pen.svg(size.width, size.height, colours.paper), ...size };
}

// One row a person and meeting, for a statistics program.
const longRows = () => [['person', 'meeting', 'started', 'share_of_talk', 'low', 'high'], ...whole.people.flatMap((p) => talkOf(p).map(([i, ...shares]) => [p.name, whole.meetings[i].title, whole.meetings[i].started, ...shares.map((v) => (v === null ? '' : String(v)))]))];

heads.forEach((head, i) => head.firstElementChild.addEventListener('click', () => sort(i)));
element('filters').addEventListener('input', filter);
element('filters').addEventListener('submit', (event) => event.preventDefault());
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawPeople);
addEventListener('resize', drawPeople);
drawPeople();
