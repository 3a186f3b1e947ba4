/** The shared code: what a screen knows, and taps until their outcome is known. */

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { aboutTap, emptyShop, followInbox, followOrders, makeTaps, outcomeOf, speaks, type Tap } from '../src/shared.ts';

const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};
const order = (step: number) => ({ id: 'o1', card: '12345678', item: 'tea', step, changed_at: step });

/** A line that the test plays. */
function played() {
  const channels = new Map<string, any>();
  const subscribe = (channel: string, handlers: object) => {
    channels.set(channel, handlers);
    return { unsubscribe: () => channels.delete(channel) };
  };
  return { channels, line: { subscribe, inbox: (handlers: object) => subscribe('inbox', handlers) } };
}

test('card that comes before the list is in it once', async () => {
  const { channels, line } = played();
  const shop = emptyShop();
  const lists: Record<string, object[]> = {
    'card.list': [{ number: '1', bound_at: 1 }, { number: '2', bound_at: 2 }],
    'message.list': [],
  };
  followInbox(line, async (method) => lists[method], shop, () => undefined);
  channels.get('inbox').onSubscribed({});
  channels.get('inbox').onPublication({ data: { type: 'card.bound', card: { number: '2', bound_at: 2 } } });
  channels.get('inbox').onPublication({ data: { type: 'card.bound', card: { number: '3', bound_at: 3 } } });
  await settle();
  assert.deepEqual(shop.cards.map(({ number }) => number), ['3', '2', '1']);
  assert.deepEqual(shop.told, ['card 2', 'card 3']);
});

test('list that does not come is asked for again', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { channels, line } = played();
  const shop = emptyShop();
  let asked = 0;
  const ask = async (method: string) => {
    if (method === 'card.list' && ++asked < 3) throw new Error('unavailable');
    return method === 'card.list' ? [{ number: '1', bound_at: 1 }] : [];
  };
  const following = followInbox(line, ask, shop, () => undefined);
  channels.get('inbox').onSubscribed({});
  for (const waitMs of [1_000, 2_000]) {
    await settle();
    assert.equal(shop.cards.length, 0);
    mock.timers.tick(waitMs);
  }
  await settle();
  assert.equal(shop.cards.length, 1);
  following.unsubscribe();
  assert.equal(channels.size, 0);
  mock.timers.reset();
});

test('order in the list is not overtaken by an older change', () => {
  const { channels, line } = played();
  const shop = emptyShop();
  const withState = (on: any, channel: string, handlers: object) => on.subscribe(channel, handlers);
  followOrders(withState, line, async () => [], 'wx-ann', shop, () => undefined);
  const handlers = channels.get('orders:wx-ann');
  handlers.onState([order(2)]);
  handlers.onPublication({ data: order(1) });
  assert.equal(shop.orders[0]!.step, 2);
  handlers.onPublication({ data: order(3) });
  assert.deepEqual(shop.orders.map(({ step }) => step), [3]);
  assert.deepEqual(shop.told, ['order o1 1', 'order o1 3']);
});

/** Calls that the test settles. */
function calls() {
  const made: { method: string; data: any; resolve(value?: unknown): void; reject(code: string, retryAfterMs?: number): void }[] = [];
  const call = (method: string, data: object) =>
    new Promise((resolve, reject) =>
      made.push({ method, data, resolve, reject: (code, retryAfterMs) => reject(Object.assign(new Error(code), { code, retryAfterMs })) }),
    );
  return { made, call };
}

function device() {
  const items = new Map<string, Tap>();
  return {
    items,
    all: () => structuredClone([...items.values()]),
    set: (tap: Tap) => void items.set(tap.key, structuredClone(tap)),
    remove: (key: string) => void items.delete(key),
  };
}

test('tab keeps the taps of another tab', async () => {
  const kept = device();
  const [one, other] = [calls(), calls()];
  const first = makeTaps(one.call, kept, () => undefined);
  const second = makeTaps(other.call, kept, () => undefined);
  const tap = first.tap('card.bind', { number: '12345678' });
  second.tap('card.bind', { number: '12345679' });
  other.made[0]!.resolve();
  await settle();
  assert.deepEqual([...kept.items.keys()], [tap.key]);
});

test('tap without an answer is made again under its key', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { made, call } = calls();
  const taps = makeTaps(call, device(), () => undefined);
  const tap = taps.tap('card.bind', { number: '12345678' });
  for (const code of ['unavailable', 'in_doubt', 'timeout']) {
    made.at(-1)!.reject(code, 700);
    await settle();
    assert.equal(tap.state, 'waiting');
    mock.timers.tick(700);
    assert.equal(tap.state, 'sending');
  }
  made.at(-1)!.resolve({});
  await settle();
  assert.equal(tap.state, 'done');
  assert.equal(new Set(made.map(({ data }) => data.key)).size, 1);
  mock.timers.reset();
});

test('tap survives the app and is the same tap then', async () => {
  const kept = device();
  const before = calls();
  makeTaps(before.call, kept, () => undefined).tap('card.bind', { number: '12345678' });
  before.made[0]!.reject('closed');
  await settle();
  const after = calls();
  const taps = makeTaps(after.call, kept, () => undefined);
  assert.deepEqual(after.made[0]!.data, before.made[0]!.data);
  after.made[0]!.resolve();
  await settle();
  assert.equal(kept.items.size, 0);
  assert.equal(taps.list()[0]!.state, 'done');
});

test('refused tap says why until the person has seen it', async () => {
  const { made, call } = calls();
  const kept = device();
  const taps = makeTaps(call, kept, () => undefined);
  const tap = taps.tap('card.bind', { number: '12345678' });
  made[0]!.reject('card_taken');
  await settle();
  const say = speaks('en');
  assert.equal(`${aboutTap(say, tap)}: ${outcomeOf(say, tap, true)}`, 'Card •5678: this card is bound already');
  assert.equal(kept.items.size, 0);
  taps.dismiss(tap.key);
  assert.deepEqual(taps.list(), []);
});

test('last outcomes are shown and older ones go', async () => {
  const { made, call } = calls();
  const taps = makeTaps(call, device(), () => undefined);
  for (let index = 0; index < 10; index++) taps.tap('card.bind', { number: `${index}` });
  made.forEach(({ resolve }) => resolve());
  await settle();
  assert.deepEqual(taps.list().map(({ data }) => data['number']), ['6', '7', '8', '9']);
});
