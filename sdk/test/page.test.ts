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
  const [first, second] = [Object.create(definition), Object.create(definition)] as Record<'onLoad' | 'onUnload', (query?: object) => void>[];
  first!.onLoad({ name: 'a' });
  second!.onLoad({ name: 'b' });
  await world.advance(100);
  first!.onUnload();
  await publish('room:7', 1);
  assert.deepEqual(seen, ['unload', ['b', 1]]);
});
