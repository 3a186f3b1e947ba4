/** Publications that are taken back. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recall, recalledBy, withoutRecalled, withRecalls } from '../src/recall.js';
import { page } from '../src/page.js';
import { lined } from './fakes/lined.js';

test('recall reaches the handler of recalls alone', async () => {
  const { world, line } = await lined();
  const seen: unknown[] = [];
  line.subscribe(
    'room:7',
    withRecalls({
      onPublication: ({ data }) => seen.push(data),
      onRecalled: ({ channel, epoch, offset }) => seen.push({ channel, epoch, offset }),
    }),
  );
  await world.advance(100);
  const sent = line.publish('room:7', 'oops');
  await world.advance(100);
  const recalled = recall(line, 'room:7', await sent);
  await world.advance(100);
  assert.equal((await recalled).offset, 2);
  assert.deepEqual(seen, ['oops', { channel: 'room:7', epoch: 'k1', offset: 1 }]);
});

test('recall of another log is ignored', async () => {
  const { world, line, publish } = await lined();
  const seen: unknown[] = [];
  line.subscribe(
    'room:7',
    withRecalls({ onPublication: ({ data }) => seen.push(data), onRecalled: (it) => seen.push(it) }),
  );
  await world.advance(100);
  await publish('room:7', { $recall: { epoch: 'before', offset: 1 } });
  assert.deepEqual(seen, []);
});

test('what only looks like a recall is a publication', async () => {
  const looks = [null, 'x', 7, {}, { $recall: 7 }, { $recall: { offset: 1 } }, { $recall: { epoch: 'k1' } }];
  for (const data of looks) assert.equal(recalledBy(data), undefined, JSON.stringify(data));
  const { world, line, publish } = await lined();
  const seen: unknown[] = [];
  line.subscribe('room:7', withRecalls({ onPublication: ({ data }) => seen.push(data) }));
  await world.advance(100);
  for (const data of looks) await publish('room:7', data);
  assert.deepEqual(seen, looks);
});

test('page of history is shown without what was recalled', () => {
  const entry = (offset: number, data: unknown) => ({ offset, at: 0, data });
  const page = {
    epoch: 'k1',
    more: false,
    publications: [
      entry(1, 'a'),
      entry(2, 'b'),
      entry(3, { $recall: { epoch: 'k1', offset: 1 } }),
      entry(4, { $recall: { epoch: 'before', offset: 2 } }),
    ],
  };
  assert.deepEqual(
    withoutRecalled(page).map(({ data }) => data),
    ['b'],
  );
});

/** A chat as a class has it: its handlers are of the prototype, and want `this`. */
class Chat {
  readonly seen: unknown[] = [];
  onPublication({ data }: { data: unknown }): void {
    this.seen.push(data);
  }
  onRecalled({ offset }: { offset: number }): void {
    this.seen.push(`-${offset}`);
  }
  onSubscribed(): void {
    this.seen.push('subscribed');
  }
  onUnsubscribed({ code }: { code: string }): void {
    this.seen.push(code);
  }
}

test('handlers of a class hear everything with recalls', async () => {
  const { world, line, publish } = await lined();
  const chat = new Chat();
  line.subscribe('room:7', withRecalls(chat));
  await world.advance(100);
  await publish('room:7', 'oops');
  await publish('room:7', { $recall: { epoch: 'k1', offset: 1 } });
  line.login({ token: 'two' });
  assert.deepEqual(chat.seen, ['subscribed', 'oops', '-1', 'user_changed']);
});

test('handlers of a class hear everything on a page', async () => {
  const { world, line, publish } = await lined();
  const chat = new Chat();
  page(line).subscribe('room:7', chat, { while: 'shown' });
  await world.advance(100);
  await publish('room:7', 'a');
  line.login({ token: 'two' });
  assert.deepEqual(chat.seen, ['subscribed', 'a', 'user_changed']);
});
