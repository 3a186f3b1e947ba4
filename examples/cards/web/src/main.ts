/** Puts the page together: the login, then three lists that follow the member's channels. */

import { subscribeWithState } from 'tautline/with-state';
import { account, forgetAccount, keepAccount, keptTaps, language, say, setLanguage, type Account } from './device.ts';
import { element, write } from '../../../element.ts';
import { cardForm, showCards, showMessages, showOrders, showTaps } from './lists.ts';
import { lineOf, logIn, type Line } from './server.ts';
import { emptyShop, followInbox, followOrders, makeTaps, wordOf, type Shop } from './shared.ts';

/** What browser tests hold on to. */
interface Cards {
  shop: Shop;
  line: Line | undefined;
  taps: ReturnType<typeof makeTaps> | undefined;
  errors: string[];
}

declare global {
  interface Window {
    cards: Cards;
  }
}

const cards: Cards = (window.cards = { shop: emptyShop(), line: undefined, taps: undefined, errors: [] });
window.addEventListener('error', (event) => cards.errors.push(event.message));
window.addEventListener('unhandledrejection', (event) => cards.errors.push(String(event.reason)));

const main = document.getElementById('main')!;
const pill = document.getElementById('line')!;
const VIEWS = ['cards', 'orders', 'messages'] as const;

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
const logout = document.getElementById('logout')!;
write(logout, say('logout'));
logout.addEventListener('click', () => leave());

const known = account();
if (known) showShop(known);
else showLogin();

function leave(why?: 'loggedOut'): void {
  cards.line?.close();
  forgetAccount();
  showLogin(why);
}

function showLogin(why?: 'loggedOut'): void {
  logout.hidden = pill.hidden = true;
  const notice = element('p', { class: 'notice', role: 'alert' }, why && say(why));
  const button = element('button', { class: 'primary' }, say('login'));
  const input = element('input', {
    id: 'name',
    maxlength: 24,
    autocomplete: 'username',
    autocapitalize: 'none',
    required: true,
    placeholder: say('nameHint'),
  });
  const submit = async (event: Event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const account = await logIn(input.value.trim());
      keepAccount(account);
      showShop(account);
    } catch (error) {
      write(notice, say(error instanceof Error && error.message === 'bad_name' ? 'badName' : 'noServer'));
    } finally {
      button.disabled = false;
    }
  };
  const form = element('form', { class: 'panel login', onsubmit: (event) => void submit(event) });
  form.append(element('p', { class: 'tagline' }, say('tagline')), element('label', { for: 'name' }, say('name')), input, button, notice);
  main.replaceChildren(form);
  input.focus();
}

function showShop(account: Account): void {
  logout.hidden = pill.hidden = false;
  const line = lineOf(account);
  const shop = emptyShop();
  const taps = makeTaps((method, data, how) => line.call(method as 'card.list', data as never, how), keptTaps(account.member), draw);
  Object.assign(cards, { line, shop, taps });

  const strip = element('ul', { class: 'taps', 'aria-live': 'polite' });
  const lists = Object.fromEntries(VIEWS.map((view) => [view, element('ul', { class: `list ${view}` })]));
  const counts = Object.fromEntries(VIEWS.map((view) => [view, element('small')]));
  const sections = VIEWS.map((view) =>
    element('section', { id: view, class: 'panel' }, element('h2', {}, say(view)), view === 'cards' && cardForm(taps), lists[view]),
  );
  const tabs = VIEWS.map((view) =>
    element('button', { type: 'button', 'data-view': view, onclick: () => choose(view) }, say(view), counts[view]),
  );
  main.replaceChildren(strip, element('div', { class: 'columns' }, ...sections), element('nav', {}, ...tabs));
  choose('cards');

  const ask = (method: string) => line.call(method as 'card.list', {}, { idempotent: true });
  followInbox(line, ask, shop, draw);
  followOrders(subscribeWithState, line, ask, account.member, shop, draw);
  line.on('state', ({ state, cause }) => {
    if (state === 'stopped' && cause === 'auth_failed') return leave('loggedOut');
    draw();
  });
  draw();

  function choose(chosen: (typeof VIEWS)[number]): void {
    main.dataset['view'] = chosen;
    for (const tab of tabs) tab.setAttribute('aria-current', String(tab.dataset['view'] === chosen));
  }
  function draw(): void {
    if (cards.line !== line || !taps) return;
    pill.dataset['state'] = line.state;
    write(pill, say(wordOf(line.state, 'closed')));
    showTaps(strip, taps, line.state === 'online');
    showCards(lists['cards']!, shop, taps);
    showOrders(lists['orders']!, shop, taps);
    showMessages(lists['messages']!, shop);
    for (const view of VIEWS) write(counts[view]!, shop[view].length ? String(shop[view].length) : '');
  }
}
