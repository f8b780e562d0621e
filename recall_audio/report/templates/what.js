// "?" beside a figure shows its definition in place; without this script the link leads to the list below.
const bubble = element('what');
let openedAt = 0;
for (const link of document.querySelectorAll('a.what')) {
  link.addEventListener('click', (event) => {
    const entry = element(link.hash.slice(1));
    if (!entry || !bubble.showPopover) return;
    event.preventDefault();
    const name = document.createElement('strong'), meaning = document.createElement('p'), field = entry.querySelector('small'), where = document.createElement('small');
    name.textContent = entry.querySelector('dt').textContent;
    meaning.textContent = entry.querySelector('dd').firstChild.textContent;
    where.textContent = field ? field.textContent : '';
    where.className = 'code';
    bubble.replaceChildren(name, meaning, where);
    bubble.showPopover();
    openedAt = scrollY;
    bubble.focus({ preventScroll: true });
    const box = link.getBoundingClientRect(), size = bubble.getBoundingClientRect();
    bubble.style.left = `${Math.max(8, Math.min(box.left - 20, innerWidth - size.width - 8))}px`;
    bubble.style.top = `${box.bottom + size.height + 8 < innerHeight ? box.bottom + 6 : Math.max(8, box.top - size.height - 6)}px`;
  });
}
addEventListener('scroll', () => { if (bubble.hidePopover && Math.abs(scrollY - openedAt) > 60) bubble.hidePopover(); }, { passive: true });
