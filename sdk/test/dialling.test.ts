/** Where a line dials, and how: addresses that are asked for, and options of the host's own. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jdHost } from '../src/hosts/wechat-compatible.js';
import { alipayHost } from '../src/hosts/alipay.js';
import { browserHost } from '../src/hosts/browser.js';
import { wechatHost } from '../src/hosts/wechat.js';
import { Tautline, type DropOutput, type Host, type TautlineOptions } from '../src/index.js';
import { json, msgpack } from '../src/msgpack.js';
import { FakeAlipay } from './fakes/alipay.js';
import { FakeWindow } from './fakes/browser.js';
import { FakeJd } from './fakes/global-socket.js';
import { FakeWechat } from './fakes/wechat.js';
import { World } from './fakes/world.js';

function dialling(url: TautlineOptions['url']) {
  const world = new World();
  const line = new Tautline({ url, host: world });
  const drops: DropOutput[] = [];
  line.on('drop', (drop) => drops.push(drop));
  line.connect();
  return { world, line, drops, urls: () => world.wires.map((wire) => wire.url) };
}

for (const [how, give] of [
  ['gives', (url: string) => url],
  ['promises', (url: string) => Promise.resolve(url)],
] as const) {
  test(`a function that ${how} the address is asked at each dial`, async () => {
    let asked = 0;
    const { world, line, urls } = dialling(() => give(`wss://a.example/connect?sign=${++asked}`));
    await world.advance(100);
    world.cut();
    await world.advance(100);
    assert.equal(line.state, 'online');
    assert.deepEqual(urls(), ['wss://a.example/connect?sign=1', 'wss://a.example/connect?sign=2']);
  });
}

for (const [how, give, message] of [
  ['is rejected', () => Promise.reject(new Error('no address now')), 'no address now'],
  [
    'throws',
    () => {
      throw new Error('no address now');
    },
    'no address now',
  ],
  ['gives no address', () => 'https://a.example', 'option url gave https://a.example'],
  ['gives nothing', () => undefined as never, 'option url gave undefined'],
] as [string, () => string | Promise<string>, string][]) {
  test(`an address that ${how} is a failed dial`, async () => {
    let fails = true;
    let asked = 0;
    const { world, line, drops, urls } = dialling(() => (asked++, fails ? give() : 'wss://a.example'));
    await world.advance(20_000);
    assert.ok(asked > 3 && asked < 20, `asked ${asked} times in 20 s`);
    assert.deepEqual(urls(), []);
    const { cause, online, message: told } = drops[0]!;
    assert.deepEqual([cause, online, told], ['unknown', false, message]);
    assert.equal(line.state, 'waiting');
    fails = false;
    await world.advance(30_000);
    assert.equal(line.state, 'online');
  });
}

test('an address that takes too long is a failed dial', async () => {
  const answers: ((url: string) => void)[] = [];
  const { world, line, drops, urls } = dialling(
    () => new Promise<string>((resolve) => answers.push(resolve)),
  );
  await world.advance(9_900);
  assert.deepEqual([answers.length, drops.length], [1, 0]);
  await world.advance(200);
  assert.equal(drops[0]!.cause, 'connect_timeout');
  await world.advance(60_000);
  assert.ok(answers.length > 3, 'it is asked again, although none was answered');
  while (line.state !== 'connecting') await world.advance(100);
  answers.slice(0, -1).forEach((answer) => answer('wss://late.example'));
  answers.at(-1)!('wss://a.example');
  await world.advance(100);
  assert.deepEqual(urls(), ['wss://a.example'], 'what comes late is not dialled');
  assert.equal(line.state, 'online');
});

test('a line that is closed meanwhile dials nothing', async () => {
  let answer!: (url: string) => void;
  const { world, line, urls } = dialling(() => new Promise<string>((resolve) => (answer = resolve)));
  await world.advance(100);
  line.close();
  answer('wss://a.example');
  await world.advance(100);
  assert.deepEqual([urls(), line.state], [[], 'closed']);
});

for (const [name, fake, make] of [
  ['wechat', () => new FakeWechat(), wechatHost],
  ['alipay', () => new FakeAlipay(), alipayHost],
  ['jd', () => new FakeJd(), jdHost],
] as [string, () => FakeWechat, (api: FakeWechat) => Host][]) {
  test(`${name}: options for connectSocket reach it in either format`, async () => {
    for (const format of [json, msgpack]) {
      const wx = fake();
      const dial = { header: { 'X-Room': '7' }, timeout: 5_000, perMessageDeflate: true };
      const line = new Tautline({ url: 'wss://a.example', host: make(wx), dial, format });
      line.connect();
      await new Promise((resolve) => setImmediate(resolve));
      const { header, timeout, perMessageDeflate, tcpNoDelay, protocols } = wx.task
        .connect as unknown as Record<string, unknown>;
      assert.deepEqual({ header, timeout, perMessageDeflate, tcpNoDelay }, { ...dial, tcpNoDelay: true });
      assert.equal((protocols as string[]).length, 1);
      line.close();
      assert.deepEqual(
        Object.keys(dial),
        ['header', 'timeout', 'perMessageDeflate'],
        "the app's object stays as it was",
      );
    }
  });
}

test('options for connectSocket do no harm in a browser', async () => {
  const window = new FakeWindow();
  const line = new Tautline({
    url: 'wss://a.example',
    host: browserHost(window),
    dial: { header: { a: 'b' }, tcpNoDelay: false },
  });
  line.connect();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(window.sockets[0]!.protocols, ['tautline.v1.json']);
  line.close();
});
