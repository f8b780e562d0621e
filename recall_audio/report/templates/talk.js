// The denominator of the shares, and the table of the stretch shown.
const PAGE = 200;
let rowsShown = PAGE;

function shares100(value) { return value === undefined ? '–' : `${(100 * Number(value)).toFixed(1)} %`; }

function chooseDenominator(key) {
  const name = key.replace(/_(\w)/g, (_, c) => c.toUpperCase());
  for (const cell of document.querySelectorAll('.bars .share')) {
    const value = cell.dataset[name];
    cell.textContent = shares100(value);
    cell.parentElement.querySelector('.fill').setAttribute('width', String(100 * Math.min(1, Number(value || 0))));
  }
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
