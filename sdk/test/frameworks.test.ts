/** The hooks, under the frameworks themselves. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Activity, createElement } from 'react';
import { createRenderer, defineComponent, effectScope, h, KeepAlive, ref } from 'vue';
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
  assert.deepEqual(seen, [
    ['first', 1],
    ['second', 2],
    ['third', 4],
    ['fourth', 'unknown'],
  ]);
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

test('react: while shown, a channel rests under a hidden Activity or on a page that is not seen, and is read on', async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  let gaps = 0;
  function Room({ shown }: { shown?: boolean }): null {
    const handlers = {
      onPublication: ({ data }: { data: unknown }) => void seen.push(data),
      onGap: () => void gaps++,
    };
    react.useSubscription(line, 'room:7', handlers, { while: 'shown', shown });
    return null;
  }
  let root!: Rendered;
  const render = async (mode: 'visible' | 'hidden', shown?: boolean) => {
    await act(() => {
      const element = createElement(Activity, { mode, children: createElement(Room, { shown }) });
      if (root) root.update(element);
      else root = create(element);
    });
    await act(() => world.advance(100));
  };
  await render('visible');
  await publish('room:7', 1);
  await render('hidden');
  await publish('room:7', 2);
  assert.deepEqual(seen, [1]);
  assert.equal(world.gateway.all('unsubscribe').length, 1);
  await render('visible');
  await publish('room:7', 3);
  assert.deepEqual(seen, [1, 2, 3]);
  await render('visible', false);
  await publish('room:7', 4);
  assert.deepEqual(seen, [1, 2, 3]);
  await render('visible', true);
  assert.deepEqual([seen, gaps], [[1, 2, 3, 4], 0]);
  await act(() => root.unmount());
  await act(() => world.advance(100));
  assert.equal(world.gateway.all('unsubscribe').length, 3);
});

test('react: while shown, another channel begins for itself', async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  function Room({ channel }: { channel: string | undefined }): null {
    react.useSubscription(
      line,
      channel,
      { from: 'start', onPublication: ({ data }) => void seen.push(data) },
      { while: 'shown' },
    );
    return null;
  }
  await publish('room:8', 'a');
  await publish('room:7', 1);
  let root!: Rendered;
  for (const channel of ['room:7', 'room:8', undefined, 'room:7']) {
    await act(() => {
      const element = createElement(Room, { channel });
      if (root) root.update(element);
      else root = create(element);
    });
    await act(() => world.advance(100));
  }
  assert.deepEqual(seen, [1, 'a', 1]);
  await act(() => root.unmount());
});

/** Vue without a browser: nodes that are only counted. */
const { render } = createRenderer<object, object>({
  createElement: () => ({}),
  createText: () => ({}),
  createComment: () => ({}),
  setText() {},
  setElementText() {},
  insert() {},
  remove() {},
  patchProp() {},
  parentNode: () => ({}),
  nextSibling: () => null,
});

test('vue: while shown, a channel rests under KeepAlive while its component is away, and is read on', async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  const Room = defineComponent(() => {
    vue.useSubscription(
      line,
      'room:7',
      { onPublication: ({ data }) => void seen.push(data) },
      { while: 'shown' },
    );
    return () => h('i');
  });
  const Other = defineComponent(() => () => h('b'));
  const container = {};
  const show = async (which: object | null) => {
    render(which && h(KeepAlive, () => h(which)), container);
    await world.advance(100);
  };
  await show(Room);
  await publish('room:7', 1);
  await show(Other);
  await publish('room:7', 2);
  assert.deepEqual(seen, [1]);
  await show(Room);
  await publish('room:7', 3);
  assert.deepEqual(seen, [1, 2, 3]);
  assert.equal(world.gateway.all('subscribe').length, 2);
  await show(null);
  await publish('room:7', 4);
  assert.deepEqual(seen, [1, 2, 3]);
});

test("vue: while shown, a page of uni-app's rests by its own hooks, also where its channel changes meanwhile", async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  const hooks: (() => void)[] = [];
  const hook = (act: () => void) => void hooks.push(act);
  const channel = ref('room:7');
  const scope = effectScope();
  scope.run(() => {
    vue.useSubscription(
      line,
      channel,
      { onPublication: ({ data }) => void seen.push(data) },
      { while: 'shown', hooks: [hook, hook] },
    );
  });
  const [show, hide] = hooks as [() => void, () => void];
  await world.advance(100);
  await publish('room:7', 1);
  hide();
  await world.advance(100);
  await publish('room:7', 2);
  show();
  await world.advance(100);
  assert.deepEqual(seen, [1, 2]);
  hide();
  channel.value = 'room:8';
  await world.advance(100);
  assert.equal(world.gateway.all('subscribe').length, 2, 'nobody sees it');
  show();
  await world.advance(100);
  await publish('room:8', 3);
  scope.stop();
  show();
  await world.advance(100);
  await publish('room:8', 4);
  assert.deepEqual(seen, [1, 2, 3]);
});
