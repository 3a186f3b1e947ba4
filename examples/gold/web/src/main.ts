/** Puts the page together: the address names the room, `#` alone is the home page. */

import { account, language, named, say, setLanguage } from './device.ts';
import { element, write } from '../../../element.ts';
import { showHome, type Ways } from './home.ts';
import { RoomView } from './room.ts';
import { AGAIN, line } from './server.ts';
import { wordOfState, type Settings, type View } from './shared.ts';

/** What browser tests hold on to. */
interface Gold {
  room: RoomView | undefined;
  /** The room's view as the server has it. */
  ask(room: string): Promise<View>;
  errors: string[];
}

declare global {
  interface Window {
    gold: Gold;
  }
}

const gold: Gold = (window.gold = {
  room: undefined,
  ask: (room) => line().call('gold.view', { room }, AGAIN),
  errors: [],
});
window.addEventListener('error', (event) => gold.errors.push(event.message));
window.addEventListener('unhandledrejection', (event) => gold.errors.push(String(event.reason)));

const main = document.getElementById('main')!;
const pill = document.getElementById('line')!;
let end = (): void => {};
let isWatched = false;

const ways: Ways = {
  open: (settings: Settings) => void enter(() => line().call('gold.open', { name: named(), settings }, AGAIN)),
  join: (room) => void enter(() => line().call('gold.join', { name: named(), room }, AGAIN)),
  watch: (room) => (location.hash = room),
};

document.documentElement.lang = language() === 'zh' ? 'zh-CN' : 'en';
document.title = say('title');
write(document.getElementById('title')!, say('title'));
const other = document.getElementById('language')!;
write(other, language() === 'zh' ? 'English' : '中文');
other.addEventListener('click', () => {
  setLanguage(language() === 'zh' ? 'en' : 'zh');
  const address = new URL(location.href);
  address.searchParams.delete('lang');
  history.replaceState(undefined, '', address);
  location.reload();
});
window.addEventListener('hashchange', () => void show());
void show();

async function enter(call: () => Promise<{ room: string }>): Promise<void> {
  watchLine();
  try {
    location.hash = (await call()).room;
  } catch (error) {
    // Somebody was faster, or the server is full: the list shows it in a moment.
    notice(error instanceof Error ? error.message : String(error));
  }
}

async function show(): Promise<void> {
  end();
  gold.room = undefined;
  const room = location.hash.slice(1);
  if (!/^\w+$/.test(room)) {
    end = showHome(main, ways);
    return;
  }
  const { player } = await account();
  watchLine();
  const shown = new RoomView(main, room, player, () => (location.hash = ''));
  gold.room = shown;
  end = () => shown.end();
}

/** The pill says what the line is doing. */
function watchLine(): void {
  if (isWatched) return;
  isWatched = true;
  const tell = () => {
    pill.hidden = false;
    pill.dataset['state'] = line().state;
    write(pill, say(wordOfState(line().state)));
  };
  line().on('state', tell);
  tell();
}

function notice(text: string): void {
  const shown = element('p', { class: 'notice', role: 'alert' }, text);
  main.prepend(shown);
  setTimeout(() => shown.remove(), 4_000);
}
