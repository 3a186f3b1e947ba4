/** Puts the page together: phones, books, views. Nothing is decided here. */

import { Chart } from './chart.ts';
import { Ledger, type Entry, type Figures } from './ledger.ts';
import { drain, executedTwice } from './network.ts';
import { Outages, type Outage } from './outages.ts';
import { Phone, wallNow, type PhoneEvents } from './phone.ts';
import { Series } from './series.ts';
import { readSettings } from './settings.ts';
import { DropsView } from './view/drops.ts';
import { element, slot, write } from './view/element.ts';
import { GatewayView } from './view/gateway.ts';
import { PhoneView } from './view/phone.ts';
import { ProofView } from './view/proof.ts';
import { Dictionary } from './words.ts';

/** What browser tests hold on to. */
interface Demo {
  phones: Record<string, Phone>;
  figures(): Figures;
  outages: Outage[];
  /** Empty without `?journal`. */
  journal: Entry[];
  /** Errors that nobody caught: an SDK that settles a promise twice is one. */
  errors: string[];
}

declare global {
  interface Window {
    demo: Demo;
  }
}

/** How often numbers change; more would be unreadable. */
const NUMBERS_EVERY_MS = 100;
/** How often the gateway is asked. */
const ASK_EVERY_MS = 2_000;

const settings = readSettings(location.search);
const dictionary = new Dictionary(settings.language);
const ledger = new Ledger();
const outages = new Outages();
const journal: Entry[] = [];
const errors: string[] = [];
const series = new Map(settings.phones.map((phone) => [phone, new Series()]));
const views = new Map<string, PhoneView>();
let newest = 0;
let twice = 0;

const events: PhoneEvents = {
  entry(entry) {
    ledger.enter(entry);
    if (settings.journal) journal.push(entry);
    if (entry.what === 'handed' || entry.what === 'acknowledged') newest = Math.max(newest, entry.offset);
  },
  drop: (phone, drop) => outages.drop(phone.name, drop, wallNow()),
  welcome: (phone) => outages.welcome(phone.name, wallNow()),
  recovering: (phone, publications) => outages.recovering(phone.name, publications),
  latency: (phone, sent, ms) => series.get(phone.name)?.add(sent, ms),
  tapped: (phone, from) => views.get(phone.name)?.pulse(from),
  trouble: (phone, hurt) => (hurt ? outages.trouble(phone.name, wallNow()) : outages.relief(phone.name)),
};

window.addEventListener('error', (event) => errors.push(event.message));
window.addEventListener('unhandledrejection', (event) => errors.push(String(event.reason)));

const phones = settings.phones.map((name) => new Phone(name, settings, events));
const gateway = new GatewayView(
  dictionary,
  settings.rate,
  (perSecond) => phones.forEach((phone) => phone.setRate(perSecond)),
  () => {
    phones.forEach((phone) => outages.trouble(phone.name, wallNow()));
    void drain();
  },
);
phones.forEach((phone) => views.set(phone.name, new PhoneView(phone, dictionary)));
const proof = new ProofView(slot('verdict'), dictionary);
slot('chart').append(legend());
const chart = new Chart(slot('chart'), [...series].map(([phone, series]) => ({ phone, series })));
const drops = new DropsView(slot('drops'), dictionary);
setScene();

setInterval(drawNumbers, NUMBERS_EVERY_MS);
setInterval(async () => (twice = await executedTwice().catch(() => twice)), ASK_EVERY_MS);
requestAnimationFrame(drawChart);
window.demo = {
  phones: Object.fromEntries(phones.map((phone) => [phone.name, phone])),
  figures: () => ledger.figures(),
  outages: outages.list,
  journal,
  errors,
};

function setScene(): void {
  const { words, language } = dictionary;
  document.documentElement.lang = language;
  if (settings.theme) document.documentElement.dataset['theme'] = settings.theme;
  document.querySelectorAll<HTMLElement>('[data-words=tagline]').forEach((target) => write(target, words.tagline));
  const other = new URLSearchParams(location.search);
  other.set('lang', language === 'zh' ? 'en' : 'zh');
  const link = slot('language') as HTMLAnchorElement;
  link.href = `?${other}`;
  write(link, words.language);
  const [first, ...others] = [...views.values()].map((view) => view.root);
  slot('stage').append(...(first ? [first] : []), gateway.root, ...others);
}

function drawNumbers(): void {
  const now = wallNow();
  for (const phone of phones) {
    views.get(phone.name)?.draw(now);
    gateway.drawWire(phone.name, look(phone));
  }
  gateway.draw(newest);
  proof.draw(ledger.figures(), twice);
  drops.draw(now, outages.list);
}

function drawChart(): void {
  chart.draw(wallNow(), outages.list);
  requestAnimationFrame(drawChart);
}

function look(phone: Phone): 'up' | 'down' | 'dead' | 'slow' | 'asleep' {
  if (phone.switches.cable) return 'down';
  if (phone.line.state === 'hidden') return 'asleep';
  if (phone.line.state !== 'online') return 'down';
  if (phone.switches.half_open) return 'dead';
  return phone.switches.slow ? 'slow' : 'up';
}

function legend(): HTMLElement {
  const { words } = dictionary;
  const marks = settings.phones.map((phone) =>
    element('span', { class: `mark ${phone}` }, `${words.to} ${phone.toUpperCase()}`),
  );
  return element('h2', {}, words.latency, ...marks, element('span', { class: 'shaded' }, words.shaded));
}
