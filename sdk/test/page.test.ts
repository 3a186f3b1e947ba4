/** What a page subscribes to ends with it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { page, withLine, type PageLine } from '../src/page.js';
import { lined } from './fakes/lined.js';

/** What a host does with a page: it calls its hooks by name, at the time. */
type Page = { [hook: string]: (() => unknown) | undefined };

test("a page's subscriptions and listeners end when it unloads, and its own hooks still run", async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  const its: Page = { onUnload: () => seen.push('own onUnload') };
  const here = page(line, its);
  here.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
  here.on('state', ({ state }) => seen.push(state));
  await world.advance(100);
  await publish('room:7', 1);
  its['onUnload']?.();
  await publish('room:7', 2);
  world.cut();
  await world.advance(100);
  assert.deepEqual(seen, [1, 'own onUnload']);
  assert.equal(world.gateway.all('unsubscribe').length, 1);
});

test('a page that is covered, as by a web page, goes on hearing', async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  const its: Page = {};
  page(line, its).subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
  await world.advance(100);
  its['onHide']?.();
  await publish('room:7', 1);
  assert.deepEqual(seen, [1]);
});

test('while it is not shown a page may leave its channel, and reads what it missed when it is shown again', async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  const its: Page = {};
  page(line, its).subscribe('room:7', { onPublication: ({ data }) => seen.push(data) }, { while: 'shown' });
  await world.advance(100);
  await publish('room:7', 1);
  its['onHide']?.();
  await world.advance(100);
  assert.equal(world.gateway.all('unsubscribe').length, 1);
  await publish('room:7', 2);
  assert.deepEqual(seen, [1]);
  its['onShow']?.();
  its['onShow']?.();
  await world.advance(100);
  await publish('room:7', 3);
  assert.deepEqual(seen, [1, 2, 3]);
  its['onUnload']?.();
  await publish('room:7', 4);
  assert.deepEqual(seen, [1, 2, 3]);
});

test('a subscription of a page can end before it does', async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  const here = page(line);
  const { unsubscribe } = here.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
  await world.advance(100);
  unsubscribe();
  here.unload();
  await publish('room:7', 1);
  assert.deepEqual(seen, []);
  assert.equal(world.gateway.all('unsubscribe').length, 1);
});

test('a definition that is wrapped gives every page of its own a line', async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  const definition = withLine(() => line, {
    name: '',
    onLoad(this: { name: string; line: PageLine }, query?: { name: string }) {
      const name = query!.name;
      this.line.subscribe('room:7', { onPublication: ({ data }) => seen.push([name, data]) });
    },
    onUnload: () => seen.push('unload'),
  });
  const [first, second] = [Object.create(definition), Object.create(definition)] as Record<
    'onLoad' | 'onUnload',
    (query?: object) => void
  >[];
  first!.onLoad({ name: 'a' });
  second!.onLoad({ name: 'b' });
  await world.advance(100);
  first!.onUnload();
  await publish('room:7', 1);
  assert.deepEqual(seen, ['unload', ['b', 1]]);
});

/** A host that drops what is said while a hook of a page runs. */
async function dropping() {
  const all = await lined();
  const { world } = all;
  const sent: string[] = [];
  let unloading = false;
  const { dial } = world;
  world.dial = (...how) => {
    const socket = dial(...how);
    return { ...socket, send: (data) => void (unloading || (sent.push(String(data)), socket.send(data))) };
  };
  world.cut();
  await world.advance(100);
  return {
    ...all,
    sent,
    unload: (hook: (() => unknown) | undefined) => ((unloading = true), hook?.(), (unloading = false)),
  };
}

for (const how of ['page', 'withLine'] as const) {
  test(`${how}: what is asked inside onUnload leaves afterwards`, async () => {
    const { line, world, unload } = await dropping();
    let published: unknown;
    const seen: unknown[] = [];
    const own: Page = {
      onUnload: () => {
        published = line.publish('room:7', 'goodbye');
      },
    };
    const its = how === 'page' ? own : (withLine(() => line, own) as Page);
    if (how === 'withLine') its['onLoad']?.();
    const here = how === 'page' ? page(line, its) : (its as unknown as { line: PageLine }).line;
    here.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
    await world.advance(100);
    unload(() => its['onUnload']?.());
    await world.advance(100);
    assert.equal(world.gateway.all('unsubscribe').length, 1);
    assert.equal(((await published) as { offset: number }).offset, 1);
    assert.deepEqual(seen, [], 'and the page hears nothing any more');
  });
}

test('a fault in the own onUnload stops nothing', async () => {
  const { line, world } = await lined();
  const its: Page = {
    onUnload() {
      throw new Error('of the app');
    },
  };
  page(line, its).subscribe('room:7', {});
  await world.advance(100);
  assert.throws(() => its['onUnload']?.(), /of the app/);
  await world.advance(100);
  assert.equal(world.gateway.all('unsubscribe').length, 1);
  assert.equal(line.state, 'online');
});
