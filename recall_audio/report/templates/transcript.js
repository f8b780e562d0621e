// What was said: the stretch around the cursor, found words, and words that play when clicked.
const AROUND = 80;
const said = whole.transcript.map(([start, length, lane, text, steps]) => ({ start: start / 1000, end: (start + length) / 1000, lane, text, steps }));
const saidList = element('said');
let saidKey = '', saidMarked = null;

const speakerOf = (s) => (lanes[s.lane] ? lanes[s.lane].name : 'not known who');

function nearest(t) {
  let low = 0, high = said.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (said[middle].start <= t) low = middle; else high = middle - 1;
  }
  return Math.max(0, low);
}

function wordsOf(s) {
  const words = document.createElement('span');
  words.className = 'words-said';
  if (!s.steps) { words.textContent = s.text; return words; }
  let at = Math.round(s.start * 100);
  s.text.split(/\s+/).forEach((word, i) => {
    const piece = document.createElement('span');
    at += s.steps[i];
    piece.dataset.t = String(at / 100);
    piece.textContent = word;
    words.append(piece, ' ');
  });
  return words;
}

function lineOf(index) {
  const s = said[index], line = document.createElement('li'), name = document.createElement('bdi'), time = document.createElement('button'), dot = document.createElement('span');
  line.dataset.index = String(index);
  time.type = 'button';
  time.textContent = clock(s.start);
  time.setAttribute('aria-label', `Play ${speakerOf(s)} at ${clock(s.start)}`);
  time.dataset.t = String(s.start);
  dot.className = `swatch c${lanes[s.lane] ? lanes[s.lane].colour : 8}`;
  name.textContent = speakerOf(s);
  name.className = 'who-said';
  name.prepend(dot);
  line.append(time, name, wordsOf(s));
  return line;
}

function fillSaid(t) {
  if (!saidList || !said.length) return;
  const wanted = element('find').value.trim().toLowerCase(), here = nearest(t);
  let indexes = [];
  if (wanted) {
    for (let i = 0; i < said.length; i++) if (said[i].text.toLowerCase().includes(wanted) || speakerOf(said[i]).toLowerCase().includes(wanted)) indexes.push(i);
  } else for (let i = Math.max(0, here - AROUND); i < Math.min(said.length, here + AROUND); i++) indexes.push(i);
  const n = indexes.length;
  indexes = indexes.slice(0, 2 * AROUND);
  const key = `${wanted}|${wanted ? n : Math.floor(here / (AROUND / 2))}`;
  if (key !== saidKey) {
    saidKey = key;
    saidMarked = null;
    saidList.replaceChildren(...indexes.map(lineOf));
    const plural = n === 1 ? '' : 's';
    element('said-about').textContent = wanted ? `${n} passage${plural} found${n > indexes.length ? `, the first ${indexes.length} shown` : ''}` : `${said.length} passages; those around ${clock(t)}`;
  }
  if (!wanted) markSaid(here, t);
}

function markSaid(index, t) {
  const line = saidList.querySelector(`[data-index="${index}"]`);
  if (line === saidMarked || !line) return;
  if (saidMarked) saidMarked.removeAttribute('aria-current');
  saidMarked = line;
  if (t <= said[index].end + 2) line.setAttribute('aria-current', 'true');
  saidList.scrollTop = line.offsetTop - saidList.offsetTop - saidList.clientHeight / 3;
}

if (saidList) {
  saidList.addEventListener('click', (event) => {
    const from = event.target.closest('[data-t]'), line = event.target.closest('li');
    if (from) playFrom(Number(from.dataset.t), said[Number(line.dataset.index)].lane);
  });
  element('find').addEventListener('input', () => fillSaid(shown.cursor));
  element('said-copy').addEventListener('click', (event) => copy(said.map((s) => `${clock(s.start)}\t${speakerOf(s)}\t${s.text}`).join('\n'), event.currentTarget));
}
