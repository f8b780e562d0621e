// A pen with a canvas's names that writes SVG: what draws on the screen also draws a picture to save.
class SvgPen {
  constructor() { Object.assign(this, { parts: [], path: '', fillStyle: '#000', strokeStyle: '#000', lineWidth: 1, globalAlpha: 1, font: '12px sans-serif', dash: '', x: 0, y: 0 }); }
  static n(v) { return String(Math.round(v * 100) / 100); }
  static text(v) { return String(v).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[^\t\n\r\u0020-\ud7ff\ud800-\udfff\ue000-\ufffd]/g, ''); }
  add(tag, attributes, inside = '') {
    const all = Object.entries(attributes).map(([name, value]) => ` ${name}="${SvgPen.text(value)}"`).join('');
    this.parts.push(`<${tag}${all}${inside ? `>${inside}</${tag}>` : '/>'}`);
  }
  fillOf() { return { fill: this.fillStyle, ...(this.globalAlpha < 1 ? { 'fill-opacity': this.globalAlpha } : {}) }; }
  fillRect(x, y, width, height) { if (width > 0 && height > 0) this.add('rect', { x: SvgPen.n(x + this.x), y: SvgPen.n(y + this.y), width: SvgPen.n(width), height: SvgPen.n(height), ...this.fillOf() }); }
  strokeRect(x, y, width, height) { this.add('rect', { x: SvgPen.n(x + this.x), y: SvgPen.n(y + this.y), width: SvgPen.n(width), height: SvgPen.n(height), fill: 'none', stroke: this.strokeStyle, 'stroke-width': this.lineWidth, ...(this.dash ? { 'stroke-dasharray': this.dash } : {}) }); }
  beginPath() { this.path = ''; }
  moveTo(x, y) { this.path += `M${SvgPen.n(x + this.x)} ${SvgPen.n(y + this.y)}`; }
  lineTo(x, y) { this.path += `L${SvgPen.n(x + this.x)} ${SvgPen.n(y + this.y)}`; }
  roundRect(x, y, width, height, r) { this.round = { x: SvgPen.n(x + this.x), y: SvgPen.n(y + this.y), width: SvgPen.n(width), height: SvgPen.n(height), rx: SvgPen.n(r) }; }
  fill() {
    if (this.round) this.add('rect', { ...this.round, ...this.fillOf() }); else this.add('path', { d: `${this.path}Z`, ...this.fillOf() });
    this.round = null;
  }
  setLineDash(list) { this.dash = list.join(' '); }
  measureText(words) { return { width: words.length * 6.7 }; }
  fillText(words, x, y, more = {}) { this.add('text', { x: SvgPen.n(x + this.x), y: SvgPen.n(y + this.y + 10), 'font-family': 'sans-serif', 'font-size': 12, ...this.fillOf(), ...more }, SvgPen.text(words)); }
  svg(width, height, paper) {
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><rect width="${width}" height="${height}" fill="${paper}"/>${this.parts.join('')}</svg>\n`;
  }
}
