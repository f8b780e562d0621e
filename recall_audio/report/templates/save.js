// Every table and picture can be copied or saved from the page.
const stemOf = (name) => `${document.title} ${name}`.normalize('NFKC').replace(/[^\p{L}\p{N}]+/gu, '_').replace(/^_+|_+$/g, '').slice(0, 100);

function save(name, content, type) {
  const link = document.createElement('a'), blob = content instanceof Blob ? content : new Blob([content], { type });
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function cellText(cell) {
  if (cell.dataset.v !== undefined) return cell.dataset.v;
  if (cell.dataset.key !== undefined) return cell.dataset.key;
  const clone = cell.cloneNode(true);
  for (const extra of clone.querySelectorAll('small, a.what, button, svg')) extra.remove();
  return clone.textContent.replace(/\s+/g, ' ').trim().replace(/^−(?=\d)/, '-');
}

const rowsOf = (table) => [...table.rows].filter((row) => !row.hidden).map((row) => [...row.cells].map(cellText));
const plainNumber = /^-?\d+(\.\d+)?$/;
// A text that a spreadsheet would take for a formula gets a leading quote.
const guarded = (v) => (/^[=+\-@\t]/.test(v) && !plainNumber.test(v) ? `'${v}` : v);
const csv = (rows) => rows.map((row) => row.map((v) => (/[",\n]/.test(guarded(v)) ? `"${guarded(v).replace(/"/g, '""')}"` : guarded(v))).join(',')).join('\r\n') + '\r\n';
const tsv = (rows) => rows.map((row) => row.map((v) => guarded(v).replace(/[\t\n]/g, ' ')).join('\t')).join('\n');

function copyByHand(text) {
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}

async function copy(text, button) {
  const was = button.textContent;
  try { await navigator.clipboard.writeText(text); } catch { copyByHand(text); }
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = was; }, 1500);
}

// The picture as it looks now, with its style inside.
function svgOf(picture) {
  const box = picture.getBoundingClientRect(), clone = picture.cloneNode(true), width = Math.round(box.width) || 960, height = Math.round(box.height) || 200;
  const here = [picture, ...picture.querySelectorAll('*')], there = [clone, ...clone.querySelectorAll('*')];
  here.forEach((node, i) => {
    const style = getComputedStyle(node);
    for (const name of ['fill', 'fill-opacity', 'stroke', 'stroke-width', 'stroke-dasharray', 'stroke-linecap', 'font-size', 'font-family', 'dominant-baseline', 'vector-effect']) there[i].setAttribute(name, style.getPropertyValue(name));
    there[i].removeAttribute('class');
  });
  clone.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  clone.setAttribute('width', width);
  clone.setAttribute('height', height);
  for (const name of ['data-picture', 'role', 'aria-label', 'aria-hidden']) clone.removeAttribute(name);
  return { text: new XMLSerializer().serializeToString(clone), width, height };
}

function png({ text, width, height }) {
  return new Promise((resolve, reject) => {
    const image = new Image(), sheet = document.createElement('canvas'), scale = 3;
    image.onerror = reject;
    image.onload = () => {
      sheet.width = width * scale;
      sheet.height = height * scale;
      const ink = sheet.getContext('2d');
      ink.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--paper').trim();
      ink.fillRect(0, 0, sheet.width, sheet.height);
      ink.drawImage(image, 0, 0, sheet.width, sheet.height);
      sheet.toBlob(resolve, 'image/png');
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  });
}

function tools(name, actions) {
  const group = document.createElement('span');
  group.className = 'tools';
  group.setAttribute('role', 'group');
  group.setAttribute('aria-label', `Copy or save: ${name}`);
  for (const [word, act] of actions) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = word;
    button.setAttribute('aria-label', `${word}: ${name}`);
    button.addEventListener('click', () => act(button));
    group.append(button);
  }
  return group;
}

const ofPicture = (name, draw) => tools(name, [['SVG', () => save(`${stemOf(name)}.svg`, draw().text, 'image/svg+xml')], ['PNG', async () => save(`${stemOf(name)}.png`, await png(draw()))]]);

for (const table of document.querySelectorAll('table[data-save]')) {
  const name = table.dataset.save, around = table.closest('.wide') || table;
  around.after(tools(name, [['Copy', (button) => copy(tsv(rowsOf(table)), button)], ['CSV', () => save(`${stemOf(name)}.csv`, `\ufeff${csv(rowsOf(table))}`, 'text/csv')]]));
}
for (const picture of document.querySelectorAll('svg[data-picture]')) picture.after(ofPicture(picture.dataset.picture, () => svgOf(picture)));
if (element('timeline-tools')) element('timeline-tools').replaceWith(ofPicture('timeline', svgTimeline));
if (element('people-tools')) {
  const each = tools('people, a row a meeting', [['CSV', () => save(`${stemOf('people by meeting')}.csv`, `\ufeff${csv(longRows())}`, 'text/csv')]]);
  element('people-tools').replaceWith(ofPicture('people', svgPeople), each);
}
