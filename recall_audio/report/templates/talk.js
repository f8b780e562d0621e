// The denominator of the shares, and the table of the stretch shown.
const PAGE = 200;
let rowsShown = PAGE;

function shares100(value) { return value === undefined ? '–' : `${(100 * Number(value)).toFixed(1)} %`; }

function chooseDenominator(key) {
  const name = key.replace(/_(\w)/g, (_, c) => c.toUpperCase());
  const cells = [...document.querySelectorAll('.bars .share')];
  const top = Math.max(...cells.map((cell) => 100 * Number(cell.dataset[`${name}High`] || cell.dataset[name] || 0)));
  for (const cell of cells) {
    const value = cell.dataset[name], low = cell.dataset[`${name}Low`], high = cell.dataset[`${name}High`], bar = cell.parentElement;
    cell.textContent = shares100(value);
    bar.querySelector('svg').setAttribute('viewBox', `0 0 ${Math.min(100, Math.ceil(top / 5) * 5 || 100)} 10`);
    bar.querySelector('.fill').setAttribute('width', String(100 * Math.min(1, Number(value || 0))));
    bar.querySelector('.between').setAttribute('d', low === undefined ? '' : `M${100 * low} 5H${100 * high}`);
    bar.parentElement.querySelector('td.between').textContent = low === undefined ? '' : `${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)} %`;
  }
  element('of').textContent = document.querySelector(`[name=denominator][value=${key}]`).dataset.name;
  document.querySelector('#h-shares .what').hash = `d-${key}`;
  element('meaning').textContent = element('meaning').dataset[name];
}

function cellOf(kind, content, className) {
  const cell = document.createElement(kind);
  if (kind === 'th') cell.scope = 'row';
  if (className) cell.className = className;
  if (content instanceof Node) cell.append(content); else cell.textContent = content;
  return cell;
}

function listen(lane, index, t) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Play';
  button.setAttribute('aria-label', `Play ${lane.name} at ${clock(t, 1)}`);
  button.addEventListener('click', () => playFrom(t, index));
  return button;
}

function visible() {
  const found = [];
  lanes.forEach((lane, index) => {
    const s = lane.speech;
    for (let i = firstAfter(s, shown.from); i < s.n && s.start[i] < shown.to; i++) found.push([s.start[i], s.end[i], index]);
  });
  return found.sort((a, b) => a[0] - b[0]);
}

function fillTable() {
  if (!element('speech').open) return;
  const found = visible(), body = element('speech-rows');
  body.replaceChildren(...found.slice(0, rowsShown).map(([from, to, index]) => {
    const lane = lanes[index], row = document.createElement('tr'), name = document.createElement('bdi');
    name.textContent = lane.name;
    row.append(cellOf('th', name), cellOf('td', clock(from, 2)), cellOf('td', clock(to, 2)), cellOf('td', (to - from).toFixed(2), 'n'),
      cellOf('td', covered(lane.over, from, to).toFixed(2), 'n'), cellOf('td', listen(lane, index, from)));
    return row;
  }));
  const n = Math.min(found.length, rowsShown);
  element('speech-said').textContent = `${n} of ${found.length} stretches of speech from ${clock(shown.from)} to ${clock(shown.to)}.`;
  element('speech-more').hidden = n === found.length;
}

for (const input of document.querySelectorAll('[name=denominator]')) input.addEventListener('change', () => chooseDenominator(input.value));
