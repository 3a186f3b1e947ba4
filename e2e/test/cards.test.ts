/** Two devices of one member of the card shop, while the network is cut, the gateway and the back end are killed. */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test, type TestContext } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { WAIT_MS, startBrowser } from '../src/browser.ts';
import { BINARIES, TOP, startChaos, type Chaos } from '../src/process.ts';
import type { RunningShop } from '../../examples/cards/start.mjs';

/** What the page lets tests see. */
declare global {
  interface Window {
    cards: {
      shop: {
        cards: { number: string }[];
        orders: { step: number }[];
        messages: object[];
        told: string[];
      };
      line: { state: string; call(method: string, data: object): Promise<{ number: string }[]> } | undefined;
      taps: { list(): { key: string; state: string }[]; dismiss(key: string): void } | undefined;
      errors: string[];
    };
  }
}

const CARDS = 30;
const ORDERS = 15;
/** Placed, paid, shipped, delivered. */
const STEPS = 4;
/** `PICTURE_OF_CARDS=docs/cards.png` takes the one of the README anew. */
const PICTURE = `${TOP}/${process.env['PICTURE_OF_CARDS'] ?? 'e2e/build/cards.png'}`;
const PICTURE_BYTES_MAX = 500_000;
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1180, height: 844 };
const TEN_MINUTES_MS = 600_000;
/** Each device has one every six seconds: a line that has lived five connects again at once. */
const FAULT_EVERY_MS = 3_000;

/** The shop with its page, and the chaos proxy between pages and gateway. */
async function startCards(t: TestContext, options: Record<string, string> = {}): Promise<{ shop: RunningShop; chaos: Chaos }> {
  // Not bundled: it finds its programs beside itself.
  const file = pathToFileURL(`${TOP}/examples/cards/start.mjs`).href;
  const { freePorts, startShop } = (await import(file)) as typeof import('../../examples/cards/start.mjs');
  const ports = await freePorts();
  const chaos = await startChaos(t, `http://127.0.0.1:${ports.gateway}`, 7);
  const data = await mkdtemp(join(tmpdir(), 'cards-'));
  const socket = `${chaos.url.replace('http', 'ws')}/connect`;
  const server = process.env['CARDS_SERVER']?.split(' ');
  const shop = await startShop({ tautline: `${BINARIES}/tautline`, data, ports, socket, options, server: server as string[] });
  t.after(async () => {
    await shop.stop();
    await rm(data, { recursive: true, force: true });
  });
  return { shop, chaos };
}

async function openPage(browser: Browser, url: string, name: string, viewport = DESKTOP): Promise<Page> {
  const context = await browser.newContext({ viewport, locale: 'en' });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  // Time that goes on as ever, until a test lets ten minutes pass.
  await page.clock.install();
  await page.goto(`${url}/?chaos=${name}`);
  return page;
}

async function logIn(page: Page, member: string): Promise<void> {
  await page.getByLabel('Member name').fill(member);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForFunction(() => window.cards.line?.state === 'online');
}

const numberOf = (index: number) => String(88_000_000 + index);

async function bind(page: Page, from: number, to: number): Promise<void> {
  await page.evaluate((numbers) => {
    const input = document.querySelector<HTMLInputElement>('#number')!;
    for (const number of numbers) {
      input.value = number;
      input.form!.requestSubmit();
    }
  }, Array.from({ length: to - from }, (_, index) => numberOf(from + index)));
}

/** Taps on every button of an order that may be tapped. */
const advance = (page: Page) =>
  page.evaluate(() => {
    document.querySelectorAll<HTMLButtonElement>('.order button:not(:disabled)').forEach((button) => button.click());
  });

/** Waits until every tap has an outcome that the page shows. */
const settled = (page: Page) =>
  page.waitForFunction(() => window.cards.taps!.list().every(({ state }) => state === 'done' || state === 'refused'));

async function setHidden(page: Page, hidden: boolean): Promise<void> {
  await page.evaluate((hidden) => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, value: hidden ? 'hidden' : 'visible' });
    Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
}

const told = (page: Page, kind: string) =>
  page.evaluate((kind) => window.cards.shop.told.filter((what) => what.startsWith(`${kind} `)), kind);

test('cards and orders through cuts and kills reach both devices once', async (t) => {
  const { shop, chaos } = await startCards(t);
  const browser = await startBrowser(t);
  const [desk, phone] = [await openPage(browser, shop.url, 'desk'), await openPage(browser, shop.url, 'phone', PHONE)];
  for (const page of [desk, phone]) await logIn(page, 'ann');

  // Taps without a network wait, and say so.
  await desk.context().setOffline(true);
  await bind(desk, 0, 10);
  await desk.getByText('waits for the network…').first().waitFor();
  await bind(phone, 10, 20);
  await desk.context().setOffline(false);

  let turn = 0;
  const faults = setInterval(() => {
    const group = ['desk', 'phone'][turn % 2]!;
    const fault = ['cut', 'reset', 'stall'][turn++ % 3]!;
    const how = { cut: {}, reset: { direction: 'both' }, stall: { direction: 'both', for_ms: 500 } }[fault]!;
    // A fault that meets the restart of the gateway is none.
    chaos.control('/faults', { fault, group, ...how }).catch(() => undefined);
  }, FAULT_EVERY_MS);
  try {
    // A card that is bound twice, on two devices at once, is bound by one of them: the other one is told.
    await Promise.all([bind(desk, 20, CARDS), bind(phone, CARDS - 1, CARDS), shop.gateway.crash()]);
    for (const page of [desk, phone]) await page.waitForFunction((count) => window.cards.shop.cards.length === count, CARDS);
    const outcomes = () =>
      Promise.all([desk, phone].map((page) => page.getByText('this card is bound already').count())).then(([one, other]) => one! + other!);
    await settled(desk);
    await settled(phone);
    assert.equal(await outcomes(), 1);

    // The phone is put away for ten minutes, and its connection dies unseen.
    await setHidden(phone, true);
    await chaos.control('/faults', { fault: 'half_open', group: 'phone' });
    await desk.evaluate((count) => {
      const buttons = [...document.querySelectorAll<HTMLButtonElement>('.card .buy button:first-of-type')];
      buttons.slice(0, count).forEach((button) => button.click());
    }, ORDERS);
    await shop.backEnd.crash();
    const isAt = (step: number) =>
      desk.waitForFunction(
        ({ count, step }) => window.cards.shop.orders.filter((order) => order.step >= step).length === count,
        { count: ORDERS, step },
      );
    await isAt(0);
    await settled(desk);
    await advance(desk);
    await isAt(1);
    await shop.gateway.crash();
    await settled(desk);
    await advance(desk);
    await isAt(2);
    await phone.clock.fastForward(TEN_MINUTES_MS);
    await setHidden(phone, false);
    await phone.waitForFunction((count) => window.cards.shop.messages.length === count, ORDERS);
    await settled(desk);
    // Both devices tap on the same orders: each order goes one step.
    await Promise.all([advance(desk), advance(phone)]);
    for (const page of [desk, phone])
      await page.waitForFunction((count) => window.cards.shop.orders.filter(({ step }) => step === 3).length === count, ORDERS);
    await settled(desk);
    await settled(phone);
  } finally {
    clearInterval(faults);
  }
  await chaos.control('/heal', {});

  for (const kind of ['order', 'card', 'message']) {
    const [one, other] = [await told(desk, kind), await told(phone, kind)];
    const count = { order: ORDERS * STEPS, card: CARDS, message: ORDERS }[kind]!;
    assert.equal(new Set(one).size, count, `${kind}: every change`);
    assert.deepEqual(one, [...new Set(one)], `${kind}: once`);
    assert.deepEqual(other, one, `${kind}: the same on both devices, in the same order`);
  }
  for (const page of [desk, phone]) {
    const after = await page.evaluate(async () => ({
      cards: (await window.cards.line!.call('card.list', {})).map(({ number }) => number).sort(),
      errors: window.cards.errors,
      kept: Object.keys(localStorage).filter((name) => name.startsWith('cards.taps.')),
    }));
    assert.deepEqual(after, { cards: Array.from({ length: CARDS }, (_, index) => numberOf(index)), errors: [], kept: [] });
  }
  await takePicture(browser, desk, phone);
});

/** The page on a desktop, and beside it on a phone. */
async function takePicture(browser: Browser, desk: Page, phone: Page): Promise<void> {
  for (const page of [desk, phone]) await page.evaluate(() => window.cards.taps!.list().forEach(({ key }) => window.cards.taps!.dismiss(key)));
  for (const item of ['Coffee', 'A cup', 'Coffee']) {
    await advance(desk);
    await settled(desk);
    await desk.locator('.card').getByRole('button', { name: item }).first().click();
    await desk.locator('.order').getByText(item).first().waitFor();
    await settled(desk);
  }
  await phone.getByRole('button', { name: 'Orders' }).click();
  const pictures = await Promise.all([desk, phone].map(async (page) => (await page.screenshot()).toString('base64')));
  const both = await browser.newPage({ viewport: { width: DESKTOP.width + PHONE.width + 60, height: DESKTOP.height + 40 } });
  const images = pictures.map((it) => `<img style="border-radius:14px" src="data:image/png;base64,${it}">`);
  await both.setContent(`<body style="margin:20px;display:flex;gap:20px;background:#cfe0d8">${images.join('')}</body>`);
  await both.screenshot({ path: PICTURE });
  assert.ok((await stat(PICTURE)).size < PICTURE_BYTES_MAX);
}

test('page speaks Chinese, fits a phone and refuses aloud', async (t) => {
  const { shop } = await startCards(t);
  const browser = await startBrowser(t);
  const page = await openPage(browser, shop.url, 'phone', PHONE);
  await page.goto(`${shop.url}/?lang=zh`);
  await page.getByLabel('会员名').fill('小明');
  await page.getByRole('button', { name: '登录' }).press('Enter');
  await page.getByRole('alert').getByText('会员名为 1 到 24 个字母或数字。').waitFor();
  await page.getByLabel('会员名').fill('ming');
  await page.getByLabel('会员名').press('Enter');
  await page.getByLabel('卡号').fill('123');
  await page.getByRole('button', { name: '绑定' }).press('Enter');
  await page.getByText('卡号为 8 到 19 位数字').waitFor();
  await page.getByRole('button', { name: '知道了' }).press('Enter');
  await page.getByLabel('卡号').fill('6222 0000 1111');
  await page.getByLabel('卡号').press('Enter');
  await page.locator('.card .number').getByText('6222 0000 1111').waitFor();
  await page.reload();
  await page.locator('.card .number').getByText('6222 0000 1111').waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
  // A login that the shop does not know any more.
  await page.evaluate(() => {
    const account = JSON.parse(localStorage.getItem('cards.account')!) as { token: string };
    localStorage.setItem('cards.account', JSON.stringify({ ...account, token: `${account.token}x` }));
  });
  await page.reload();
  await page.getByText('登录已失效，请重新登录。').waitFor();
});

test('page of plain socket code binds, orders and hears through cuts', async (t) => {
  const { shop, chaos } = await startCards(t);
  const browser = await startBrowser(t);
  const desk = await openPage(browser, shop.url, 'desk');
  await logIn(desk, 'ann');
  const plain = await (await browser.newContext({ viewport: PHONE })).newPage();
  plain.setDefaultTimeout(WAIT_MS);
  await plain.goto(`${shop.url}/plain.html`);
  await plain.getByLabel('Member name').fill('ann');
  await plain.getByRole('button', { name: 'Log in' }).click();
  await plain.getByText('online').waitFor();
  const bindHere = async (number: string) => {
    await plain.getByLabel('Card number').fill(number);
    await plain.getByRole('button', { name: 'Bind' }).click();
  };
  await bindHere('77000001');
  await desk.locator('.card').waitFor();
  // Sent into a connection that is cut, and again behind the next login.
  await chaos.control('/faults', { fault: 'cut' });
  await bindHere('77000002');
  await shop.gateway.crash();
  await plain.locator('#cards li').nth(1).waitFor();
  await bind(desk, 0, 1);
  await plain.locator('#cards li').nth(2).waitFor();
  await bindHere('77000001');
  await plain.getByRole('alert').getByText('this card is bound already').waitFor();
  await plain.locator('#cards li').first().getByRole('button').click();
  for (const step of ['paid', 'shipped', 'delivered']) await plain.locator('#orders').getByRole('button', { name: step }).click();
  await plain.locator('#orders').getByText('tea: delivered').waitFor();
  await plain.locator('#messages').getByText('tea is on its way').waitFor();
  await desk.waitForFunction(() => window.cards.shop.cards.length === 3 && window.cards.shop.orders.every(({ step }) => step === 3));
});

/** What the gateway would send to a hook: the shop's own staff ship orders where no member is online. */
async function askBackEnd(shop: RunningShop, question: object): Promise<{ result: { data: { id: string } } }> {
  const body = JSON.stringify({ kind: 'call', id: `test:${Math.random()}`, ...question });
  const [id, at] = [`test-${Math.random()}`, Math.floor(Date.now() / 1_000)];
  const secret = Buffer.from(shop.secrets['CARDS_HOOK_SECRET']!.slice('whsec_'.length), 'base64');
  const signature = createHmac('sha256', secret).update(`${id}.${at}.${body}`).digest('base64');
  const headers = { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': `v1,${signature}` };
  return (await fetch(`${shop.url}/hooks`, { method: 'POST', headers, body })).json();
}

test('member who is away is told by a subscribe message once', async (t) => {
  const quick = { TAUTLINE__LIMITS__INBOX_UNREAD_MS: '1000', TAUTLINE__LIMITS__USER_OFFLINE_MS: '500' };
  const { shop } = await startCards(t, quick);
  const browser = await startBrowser(t);
  const page = await openPage(browser, shop.url, 'desk');
  await logIn(page, 'ann');
  await bind(page, 0, 1);
  await page.locator('.card').getByRole('button', { name: 'Coffee' }).click();
  await page.getByRole('button', { name: 'Pay' }).click();
  await page.getByRole('button', { name: 'Ship' }).waitFor();
  const order = await page.evaluate(() => (window.cards.shop.orders[0] as unknown as { id: string }).id);
  await page.evaluate(() => window.cards.line!.call('consent.give', { key: 'c', templates: ['order-shipped'] }));
  await page.context().close();
  await askBackEnd(shop, { user: 'wx-ann', method: 'order.advance', data: { key: 's', order, step: 2 } });
  const sent = async () => (await (await fetch(`${shop.wechatUrl}/mock/sent`)).json()) as { touser: string; data: object }[];
  const until = Date.now() + WAIT_MS;
  while (!(await sent()).length && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual((await sent()).map(({ touser, data }) => [touser, data]), [['ann', { thing1: { value: 'coffee' } }]]);
});
