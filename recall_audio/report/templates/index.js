// Sorting and searching the table of a batch.
const element = (id) => document.getElementById(id);
const table = element('rows'), body = table.tBodies[0], all = [...body.rows];
const heads = [...table.tHead.rows[0].cells];
const words = all.map((row) => row.textContent.toLowerCase());

function filter() {
  const wanted = element('search').value.toLowerCase().split(/\s+/).filter(Boolean), bad = element('only-bad').checked;
  let n = 0;
  all.forEach((row, i) => {
    row.hidden = !wanted.every((w) => words[i].includes(w)) || (bad && row.dataset.rank === '0');
    if (!row.hidden) n += 1;
  });
  element('found').textContent = n === all.length ? '' : `${n} of ${all.length} shown`;
}

function sort(column) {
  const down = heads[column].getAttribute('aria-sort') === 'ascending' ? -1 : 1;
  const key = (row) => row.cells[column].dataset.sort;
  const numbers = all.every((row) => key(row) !== '' && !Number.isNaN(Number(key(row))));
  const order = numbers ? (a, b) => Number(key(a)) - Number(key(b)) : (a, b) => key(a).localeCompare(key(b));
  heads.forEach((head, i) => { if (i === column) head.setAttribute('aria-sort', down > 0 ? 'ascending' : 'descending'); else head.removeAttribute('aria-sort'); });
  body.append(...[...all].sort((a, b) => down * order(a, b)));
}

heads.forEach((head, i) => head.firstElementChild.addEventListener('click', () => sort(i)));
element('search').addEventListener('input', filter);
element('only-bad').addEventListener('change', filter);
