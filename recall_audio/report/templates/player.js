// Sound: the mix, or a stem beside the page. Nothing is asked for before it is played.
const audio = element('audio'), chosen = element('source');
let lastLane = 0, wanted = 0;

function sourceFor(lane) {
  if (chosen.value === 'mix' || chosen.value === '') return whole.mix;
  const index = chosen.value === 'lane' ? lane : Number(chosen.value);
  return (lanes[index] && lanes[index].stem) || whole.mix;
}

function trouble(message) { element('trouble').textContent = message; }

function playFrom(t, lane = lastLane) {
  if (lane >= 0 && lane < lanes.length) lastLane = lane;
  const source = sourceFor(lastLane);
  moveCursor(t);
  if (!source) return trouble('No audio is known for this meeting.');
  trouble('');
  if (audio.dataset.source !== source) {
    audio.dataset.source = source;
    audio.src = source;
  }
  wanted = t;
  audio.muted = audio.readyState === 0; // a file just opened must not be heard from its start
  if (!audio.muted) audio.currentTime = t; // else as soon as the file is open, below
  audio.playbackRate = Number(element('speed').value);
  audio.play().catch((error) => { if (error.name === 'NotAllowedError') trouble('The browser wants a click on Play first.'); });
  return undefined;
}

function toggle() {
  if (!audio.paused) audio.pause();
  else if (audio.dataset.source === sourceFor(lastLane) && Math.abs(audio.currentTime - shown.cursor) < 0.05 && !audio.ended) audio.play().catch(() => {});
  else playFrom(shown.cursor >= duration ? 0 : shown.cursor);
}

function playing() {
  const on = !audio.paused;
  element('play').setAttribute('aria-pressed', String(on));
  element('play-word').textContent = on ? 'Pause' : 'Play';
  if (on) requestAnimationFrame(follow);
}

function follow() {
  if (!audio.seeking && audio.readyState > 1) moveCursor(audio.currentTime);
  if (!audio.paused) requestAnimationFrame(follow);
}

audio.addEventListener('loadedmetadata', () => { audio.currentTime = wanted; });
for (const name of ['play', 'pause', 'ended']) audio.addEventListener(name, playing);
audio.addEventListener('error', () => {
  if (audio.dataset.source) trouble(`${decodeURIComponent(audio.dataset.source)} cannot be played: keep this page in its folder, beside source/ and stems/.`);
  delete audio.dataset.source;
});
// A server without byte ranges sends the reader back to the start: say so instead of playing another place.
audio.addEventListener('seeked', () => {
  audio.muted = false;
  if (audio.currentTime < 0.5 && shown.cursor > 2 && audio.seekable.length && audio.seekable.end(0) < 1) trouble('This server cannot jump within a file; open the page from a disk.');
});
element('play').addEventListener('click', toggle);
chosen.addEventListener('change', () => { if (!audio.paused) playFrom(audio.currentTime); });
element('speed').addEventListener('change', () => { audio.playbackRate = Number(element('speed').value); });
