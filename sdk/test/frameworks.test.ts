/** The hooks, under the frameworks themselves. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createElement } from 'react';
import { effectScope, ref } from 'vue';
import * as react from '../src/react.js';
import * as vue from '../src/vue.js';
import { lined } from './fakes/lined.js';

interface Rendered {
  update(element: object): void;
  unmount(): void;
}
// It has no typings of its own.
const { act, create } = require('react-test-renderer') as {
  act(work: () => void | Promise<void>): Promise<void>;
  create(element: object): Rendered;
};
Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

test('react: a component renders the state of the line, hears with its newest handlers, and is gone when it unmounts', async () => {
  const { line, world, publish } = await lined();
  const states: string[] = [];
  const seen: unknown[] = [];
  function Room({ channel, name }: { channel: string | undefined; name: string }): null {
    states.push(react.useLineState(line));
    react.useLineEvent(line, 'drop', ({ cause }) => seen.push([name, cause]));
    react.useSubscription(line, channel, { onPublication: ({ data }) => seen.push([name, data]) });
    return null;
  }
  let root!: Rendered;
  const render = async (channel: string | undefined, name: string) => {
    await act(() => {
      const element = createElement(Room, { channel, name });
      if (root) root.update(element);
      else root = create(element);
    });
    await world.advance(100);
  };
  await render('room:7', 'first');
  await publish('room:7', 1);
  await render('room:7', 'second');
  await publish('room:7', 2);
  assert.equal(world.gateway.all('subscribe').length, 1, 'new handlers are not a new subscription');
  await render('room:8', 'third');
  await publish('room:7', 3);
  await publish('room:8', 4);
  await render(undefined, 'fourth');
  await publish('room:8', 5);
  await act(() => world.cut());
  await act(() => world.advance(100));
  assert.deepEqual(seen, [['first', 1], ['second', 2], ['third', 4], ['fourth', 'unknown']]);
  assert.deepEqual([...new Set(states)].sort(), ['connecting', 'online']);
  await act(() => root.unmount());
  world.cut();
  await world.advance(100);
  assert.equal(seen.length, 4);
});

test('vue: a scope has the state of the line, follows a channel in a ref, and leaves nothing when it ends', async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  const channel = ref<string | undefined>('room:7');
  const scope = effectScope();
  const state = scope.run(() => {
    vue.useSubscription(line, channel, { onPublication: ({ data }) => seen.push(data) });
    vue.useLineEvent(line, 'drop', ({ cause }) => seen.push(cause));
    return vue.useLineState(line);
  })!;
  await world.advance(100);
  assert.equal(state.value, 'online');
  await publish('room:7', 1);
  channel.value = 'room:8';
  await world.advance(100);
  await publish('room:7', 2);
  await publish('room:8', 3);
  world.unreachable = true;
  world.cut();
  await world.advance(100);
  // Chance decides when it dials next: now and then it is this very moment.
  assert.match(state.value, /^(waiting|connecting)$/);
  world.unreachable = false;
  await world.advance(10_000);
  const heard = seen.length;
  scope.stop();
  await publish('room:8', 4);
  assert.deepEqual(seen.slice(0, 3), [1, 3, 'unknown']);
  assert.equal(seen.length, heard);
});

test('vue: a channel that is a plain text is subscribed to once', async () => {
  const { line, world } = await lined();
  const scope = effectScope();
  scope.run(() => vue.useSubscription(line, 'room:7', {}));
  await world.advance(100);
  scope.stop();
  await world.advance(100);
  assert.equal(world.gateway.all('subscribe').length, 1);
  assert.equal(world.gateway.all('unsubscribe').length, 1);
});
