/** The mini program: what the vendor's tool needs of it, and a member who uses it on a phone that fails. */

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { checkModules, checkStructure, checkTypes } from '../../../mini-check.ts';
import { Phone, type OpenPage } from '../../../phone.ts';

/** From `web/build`. */
const MINI = resolve(import.meta.dirname, '../../mini');

test('vendor tool finds all that it needs', () => checkStructure(MINI));
test('every module that is required is there', () => checkModules(MINI));
test('code fits the typings of the host', () => checkTypes(MINI, resolve(import.meta.dirname, '..')));

const INBOX = 'user:wx-ann';
const ORDERS = 'orders:wx-ann';
const card = (number: string) => ({ number, bound_at: Number(number) });
const order = (id: string, step: number) => ({ id, card: '10000001', item: 'tea', step, changed_at: step });

/** A member's phone, and a shop with one card and one order. */
async function phoneOfAnn(page = 'pages/cards/cards') {
  const phone = new Phone(MINI);
  const { gateway, world } = phone.served;
  gateway.user = 'wx-ann';
  const shop = { cards: [card('10000001')], orders: [order('o1', 0)], messages: [] as object[] };
  gateway.answers.set('card.list', () => shop.cards);
  gateway.answers.set('order.list', () => shop.orders);
  gateway.answers.set('message.list', () => shop.messages);
  for (const method of ['card.bind', 'order.place', 'order.advance', 'consent.give']) gateway.methods.add(method);
  phone.kept.set('agreed', true);
  phone.launch();
  const shown = phone.open(page);
  await world.advance(1_000);
  return { phone, shown, shop, gateway, world, publish: (channel: string, data: object) => gateway.publish(channel, data, world.now()) };
}

const numbers = (page: OpenPage) => page.data['cards'].map(({ number }: { number: string }) => number);
const outcomes = (page: OpenPage) => page.data['taps'].map(({ about, outcome }: { about: string; outcome: string }) => `${about}: ${outcome}`);
/** Whether the gateway sends the phone the orders. */
function hearsOrders({ served }: Phone): boolean {
  const asked = served.gateway.received.filter((packet) => {
    const body = (packet['subscribe'] ?? packet['unsubscribe']) as { channel: string } | undefined;
    return body?.channel === ORDERS;
  });
  return 'subscribe' in (asked.at(-1) ?? {});
}

test('nobody is logged in before the tap', async () => {
  const phone = new Phone(MINI);
  phone.served.gateway.user = 'wx-ann';
  phone.launch();
  phone.open('pages/cards/cards');
  await phone.served.world.advance(5_000);
  assert.deepEqual([phone.went, phone.codes, phone.wx.tasks.length], [['/pages/login/login'], [], 0]);
  const login = phone.open('pages/login/login');
  login.call('onLogin');
  await phone.served.world.advance(1_000);
  assert.deepEqual(phone.went.slice(1), ['/pages/cards/cards']);
  const hello = phone.served.gateway.all('hello')[0] as { auth: object };
  assert.deepEqual(hello.auth, { code: 'code-1', provider: 'wechat' });
});

test('phone without a login tries again', async () => {
  const phone = new Phone(MINI);
  phone.served.gateway.user = 'wx-ann';
  phone.kept.set('agreed', true);
  phone.loginFails = 2;
  phone.launch();
  const shown = phone.open('pages/cards/cards');
  await phone.served.world.advance(60_000);
  assert.equal(shown.data['state'], 'online');
  assert.deepEqual(phone.codes, ['code-3']);
});

test('card of another device is shown at once', async () => {
  const { shown, publish, world } = await phoneOfAnn();
  assert.deepEqual(numbers(shown), ['10000001']);
  publish(INBOX, { type: 'card.bound', card: card('10000002') });
  await world.advance(100);
  assert.deepEqual(numbers(shown), ['10000002', '10000001']);
});

test('card bound while the app was away is there on show', async () => {
  const { phone, shown, publish, world } = await phoneOfAnn();
  phone.served.hide();
  await world.advance(600_000);
  assert.equal(phone.served.held.size, 0);
  publish(INBOX, { type: 'card.bound', card: card('10000002') });
  publish(INBOX, { type: 'card.bound', card: card('10000003') });
  await world.advance(1_000);
  assert.equal(numbers(shown).length, 1);
  phone.served.show();
  await world.advance(2_000);
  assert.deepEqual(numbers(shown), ['10000003', '10000002', '10000001']);
});

test('tap in a dead network waits and is done once', async () => {
  const { phone, shown, gateway, world } = await phoneOfAnn();
  phone.served.cut(phone.wx.task);
  shown.call('onNumber', { value: '1000 0009' });
  shown.call('onBind');
  await world.advance(100);
  assert.equal(shown.data['number'], '');
  assert.deepEqual(outcomes(shown), ['Card •0009: sending…']);
  await world.advance(60_000);
  assert.deepEqual(outcomes(shown), ['Card •0009: done']);
  const binds = gateway.executed.filter((data) => (data as { number?: string }).number === '10000009');
  assert.equal(binds.length, 1);
});

test('tap of an app that was destroyed is made again', async () => {
  const { phone, shown, gateway, world } = await phoneOfAnn();
  phone.served.cut(phone.wx.task);
  shown.call('onNumber', { value: '10000009' });
  shown.call('onBind');
  phone.destroy();
  await world.advance(60_000);
  phone.launch();
  const again = phone.open('pages/cards/cards');
  await world.advance(2_000);
  assert.deepEqual(outcomes(again), ['Card •0009: done']);
  assert.equal(gateway.executed.filter((data) => (data as { number?: string }).number === '10000009').length, 1);
  assert.deepEqual([...phone.kept.keys()], ['agreed']);
});

test('refused tap says why until it is dismissed', async () => {
  const { shown, gateway, world } = await phoneOfAnn();
  gateway.methods.delete('card.bind');
  shown.call('onNumber', { value: '123' });
  shown.call('onBind');
  await world.advance(1_000);
  assert.deepEqual(outcomes(shown), ['Card •123: there is no such order']);
  shown.call('onDismiss', { key: shown.data['taps'][0].key });
  assert.deepEqual(shown.data['taps'], []);
});

test('page that is left unsubscribes and one that is covered does not', async () => {
  const { phone, shown, publish, world } = await phoneOfAnn('pages/orders/orders');
  assert.ok(hearsOrders(phone));
  // A web-view on top of it.
  shown.call('onHide');
  phone.open('pages/help/help');
  publish(ORDERS, order('o1', 1));
  await world.advance(1_000);
  assert.equal(shown.data['orders'][0].step, 'paid');
  assert.ok(hearsOrders(phone));
  shown.call('onShow');
  shown.call('onUnload');
  await world.advance(1_000);
  assert.ok(!hearsOrders(phone));
  publish(ORDERS, order('o1', 2));
  await world.advance(1_000);
  assert.equal(shown.data['orders'][0].step, 'paid');
});

test('order is advanced by its next step and shows what is published', async () => {
  const { shown, gateway, publish, world } = await phoneOfAnn('pages/orders/orders');
  const { id, next, action } = shown.data['orders'][0];
  assert.equal(action, 'Pay');
  shown.call('onAdvance', { order: id, step: next });
  assert.equal(shown.data['orders'][0].isBusy, true);
  await world.advance(1_000);
  const { order: asked, step } = gateway.executed.at(-1) as { order: string; step: number };
  assert.deepEqual([asked, step], ['o1', 1]);
  publish(ORDERS, order('o1', 1));
  await world.advance(100);
  assert.deepEqual([shown.data['orders'][0].action, shown.data['orders'][0].isBusy], ['Ship', false]);
});

test('consent is given only where the person accepts', async () => {
  const { phone, shown, gateway, world } = await phoneOfAnn('pages/orders/orders');
  const given = () => gateway.executed.filter((data) => (data as { templates?: string[] }).templates);
  phone.consent = 'reject';
  shown.call('onConsent');
  await world.advance(1_000);
  assert.equal(given().length, 0);
  phone.consent = 'accept';
  shown.call('onConsent');
  await world.advance(1_000);
  assert.deepEqual((given()[0] as { templates: string[] }).templates, ['order-shipped']);
  assert.deepEqual(outcomes(shown), ['A message by WeChat: done']);
});

test('message that comes is read on the page of messages', async () => {
  const { shown, publish, world } = await phoneOfAnn('pages/messages/messages');
  publish(INBOX, { type: 'message', message: { id: 'm1', kind: 'shipped', about: 'tea', sent_at: 1 } });
  await world.advance(100);
  assert.deepEqual(shown.data['messages'], [{ id: 'm1', text: 'Green tea is on its way' }]);
});

test('log out ends the line and the next start asks again', async () => {
  const { phone, shown, world } = await phoneOfAnn();
  shown.call('onLogout');
  await world.advance(5_000);
  assert.equal(phone.served.held.size, 0);
  assert.deepEqual(phone.went, ['/pages/login/login']);
  assert.equal(phone.kept.has('agreed'), false);
});
