/** The mixin, and the composables, under the versions of Vue 2 that apps have. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import type { LineMembers } from '../src/vue2.js';
import { lineMixin } from '../src/vue2.js';
import type * as composables from '../src/vue.js';
import { lined } from './fakes/lined.js';

interface Instance extends LineMembers {
  $destroy(): void;
  $options: { [hook: string]: ((this: unknown) => void)[] };
}
type Vue2 = (new (options: object) => Instance) & {
  config: { productionTip: boolean; optionMergeStrategies: { [hook: string]: unknown } };
};

const VERSIONS = {
  '2.6': require('vue-2.6') as Vue2,
  '2.7': (require('vue-2.7') as { default?: Vue2 }).default ?? (require('vue-2.7') as Vue2),
};

for (const [version, Vue] of Object.entries(VERSIONS)) {
  Vue.config.productionTip = false;
  const { optionMergeStrategies } = Vue.config;
  // As uni-app has it.
  optionMergeStrategies['onShow'] = optionMergeStrategies['onHide'] = optionMergeStrategies['created'];

  test(`vue ${version}: a component has the state of the line and its subscriptions until it is destroyed`, async () => {
    const { line, world, publish } = await lined();
    const seen: unknown[] = [];
    const states: string[] = [];
    const it = new Vue({
      mixins: [lineMixin(line)],
      computed: {
        words(this: Instance) {
          return `the line is ${this.lineState}`;
        },
      },
      watch: { words: (words: string) => states.push(words) },
      created(this: Instance) {
        this.line.subscribe('room:7', { onPublication: ({ data }) => void seen.push(data) });
      },
    });
    assert.equal(it.lineState, 'online');
    await world.advance(100);
    await publish('room:7', 1);
    world.cut();
    await world.advance(1_000);
    assert.equal(states.at(-1), 'the line is online');
    assert.ok(states.length > 1);
    it.$destroy();
    const told = states.length;
    await world.advance(100);
    await publish('room:7', 2);
    world.cut();
    await world.advance(1_000);
    assert.deepEqual([seen, states.length], [[1], told]);
    assert.equal(world.gateway.all('unsubscribe').length, 1);
  });

  for (const [shows, hides, whose] of [
    ['activated', 'deactivated', 'keep-alive'],
    ['onShow', 'onHide', "uni-app's pages"],
  ] as const) {
    test(`vue ${version}: while shown, a channel rests with ${whose}, and is read on`, async () => {
      const { line, world, publish } = await lined();
      const seen: unknown[] = [];
      let own = 0;
      const it = new Vue({
        mixins: [lineMixin(() => line)],
        created(this: Instance) {
          this.line.subscribe(
            'room:7',
            { onPublication: ({ data }) => void seen.push(data) },
            { while: 'shown' },
          );
        },
        [hides]: () => void own++,
      });
      // There is no page to hide here: the hooks are called as Vue has merged them, and as it calls them.
      const call = async (hook: string) => {
        it.$options[hook]!.forEach((act) => act.call(it));
        await world.advance(100);
      };
      await call(shows);
      await publish('room:7', 1);
      await call(hides);
      await publish('room:7', 2);
      assert.deepEqual([seen, own], [[1], 1]);
      await call(shows);
      assert.deepEqual(seen, [1, 2]);
      it.$destroy();
    });
  }
}

test('vue 2.7: it has the composables of Vue 3, in the form in which they ship', async () => {
  const shipped: Partial<typeof composables> = {};
  const code = readFileSync(resolve(__dirname, '../../../dist/mini/vue.js'), 'utf8');
  new Function('exports', 'require', code)(shipped, () => require('vue-2.7') as unknown);
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  let state: { value: string } | undefined;
  const it = new VERSIONS['2.7']({
    setup() {
      state = shipped.useLineState!(line);
      shipped.useSubscription!(
        line,
        'room:7',
        { onPublication: ({ data }) => void seen.push(data) },
        { while: 'shown' },
      );
      return {};
    },
  });
  await world.advance(100);
  await publish('room:7', 1);
  it.$options['deactivated']?.forEach((act) => act.call(it));
  await world.advance(100);
  await publish('room:7', 2);
  it.$options['activated']?.forEach((act) => act.call(it));
  await world.advance(100);
  assert.deepEqual([seen, state!.value], [[1, 2], 'online']);
  it.$destroy();
  await world.advance(100);
  await publish('room:7', 3);
  assert.deepEqual(seen, [1, 2]);
});
