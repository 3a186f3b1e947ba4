/**
 * What ships runs in the poorest place there is: no eval, no globals but `wx`, no library younger than ES5 but for
 * Promise (whose continuations are macrotasks, as on older iPhones) and `Math.imul`.
 */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import type { Tautline } from '../src/index.js';
import { FakeAlipay } from './fakes/alipay.js';
import { FakeDouyin } from './fakes/wechat-compatible.js';
import { FakeJd } from './fakes/global-socket.js';
import { Served } from './fakes/served.js';
import { FakeWechat } from './fakes/wechat.js';

const DIST = resolve(__dirname, '../../../dist');
const BUNDLE = readFileSync(resolve(DIST, 'tautline.global.js'), 'utf8');

/** Takes away what mini programs lack, and puts in what a test drives. */
const POVERTY = `
  (function (global) {
    var lacking = ['globalThis', 'Map', 'Set', 'WeakMap', 'WeakSet', 'WeakRef', 'Symbol', 'Proxy', 'Reflect', 'BigInt',
      'WebAssembly', 'console', 'Atomics', 'SharedArrayBuffer', 'FinalizationRegistry', 'eval', 'Function', 'Promise'];
    for (var i = 0; i < lacking.length; i++) delete global[lacking[i]];
    var young = [[Object, 'assign values entries fromEntries getOwnPropertySymbols'], [Array, 'from of'],
      [Array.prototype, 'find findIndex includes fill flat flatMap at'], [Number, 'isInteger isFinite isNaN'],
      [String.prototype, 'startsWith endsWith includes repeat padStart padEnd at'], [Math, 'trunc sign log2 clz32']];
    young.forEach(function (pair) {
      pair[1].split(' ').forEach(function (name) { delete pair[0][name]; });
    });
    Date.now = now;
    global.Promise = function Promise(executor) {
      var state = 0, value, waiting = [];
      function settle(to, what) {
        if (state) return;
        if (to === 1 && what && typeof what.then === 'function') return what.then(settle.bind(null, 1), settle.bind(null, 2));
        state = to; value = what;
        waiting.forEach(function (run) { setTimeout(run, 0); });
      }
      this.then = function (onOk, onError) {
        return new Promise(function (resolve, reject) {
          function run() {
            var handler = state === 1 ? onOk : onError;
            if (!handler) return (state === 1 ? resolve : reject)(value);
            try { resolve(handler(value)); } catch (error) { reject(error); }
          }
          if (state) setTimeout(run, 0); else waiting.push(run);
        });
      };
      try { executor(settle.bind(null, 1), settle.bind(null, 2)); } catch (error) { settle(2, error); }
    };
  })(this);
`;

/** A realm with a scripted host, by the name of its global, whose sockets lead to a gateway. */
function realm<W extends FakeWechat>(global = 'wx', wx: W = new FakeWechat() as W) {
  const served = new Served(wx);
  const { world, gateway } = served;
  const timers = new Map<number, () => void>();
  const context = createContext(
    {
      [global]: wx,
      now: world.now,
      setTimeout(fire: () => void, delayMs: number) {
        timers.set(timers.size + 1, world.setTimer(delayMs, fire));
        return timers.size;
      },
      clearTimeout: (timer: number) => timers.get(timer)?.(),
    },
    { codeGeneration: { strings: false, wasm: false } },
  );
  runInContext(POVERTY, context);
  const names = () => Object.keys(context).sort();
  const before = names();
  runInContext(BUNDLE, context);
  const added = names().filter((name) => !before.includes(name));
  return { served, world, wx, gateway, context, added };
}

test('loading it does nothing but define two names', () => {
  const { wx, world, added } = realm();
  assert.deepEqual(added, ['Tautline', 'tautline']);
  assert.equal(wx.tasks.length, 0);
  assert.equal(wx.listening('AppShow'), 0);
  assert.equal(world.pendingTimers, 0);
});

test('in a poor realm it connects, calls, subscribes, resumes after a kill in the background, and closes', async () => {
  const { world, wx, gateway, context } = realm();
  const seen: unknown[] = [];
  const note = (what: unknown) => seen.push(JSON.parse(JSON.stringify(what)));
  Object.assign(context, { note });
  runInContext(
    `var line = new Tautline({ url: 'wss://a.example/connect', auth: function () { return { token: 't' }; } });
     line.on('drop', function (drop) { note(drop.cause); });
     line.subscribe('room:7', { onPublication: function (publication) { note(publication.data); } });
     line.call('echo', { n: 1 }).then(note);`,
    context,
  );
  const line = (context as unknown as { line: Tautline }).line;
  await world.advance(200);
  gateway.publish('room:7', 'live', world.now());
  await world.advance(100);
  wx.emit('AppHide');
  wx.emit('SocketClose', { code: 1000, reason: 'interrupted' });
  gateway.publish('room:7', 'missed', world.now());
  await world.advance(10_000);
  assert.equal(line.state, 'hidden');
  wx.emit('AppShow');
  await world.advance(200);
  assert.deepEqual(seen, [{ n: 1 }, 'live', 'background', 'missed']);
  assert.equal(line.state, 'online');
  line.close();
  await world.advance(3_000);
  assert.equal(world.pendingTimers, 0);
});

for (const [global, platform, fake] of [
  ['my', 'alipay', () => new FakeAlipay()],
  ['tt', 'douyin', () => new FakeDouyin()],
  ['jd', 'jd', () => new FakeJd()],
] as [string, string, () => FakeWechat][]) {
  test(`in a poor realm with nothing but ${global} it finds its host, and goes on after a kill in the background`, async () => {
    const { served, world, gateway, context } = realm(global, fake());
    const seen: unknown[] = [];
    Object.assign(context, { note: (what: unknown) => seen.push(what) });
    runInContext(
      `var line = new Tautline({ url: 'wss://a.example/connect' });
       line.subscribe('room:7', { onPublication: function (publication) { note(publication.data); } });`,
      context,
    );
    const line = (context as unknown as { line: Tautline }).line;
    await world.advance(200);
    line.notifyHide();
    served.kill();
    gateway.publish('room:7', 'missed', world.now());
    world.jump(60_000);
    line.notifyShow();
    await world.advance(3_000);
    assert.deepEqual(seen, ['missed']);
    assert.deepEqual((gateway.all('hello')[0] as { client: object }).client, {
      sdk: 'tautline-js/0.1.0',
      platform,
    });
  });
}

for (const [global, fake] of [
  ['wx', () => new FakeWechat()],
  ['my', () => new FakeAlipay()],
  ['tt', () => new FakeDouyin()],
  ['jd', () => new FakeJd()],
] as [string, () => FakeWechat][]) {
  test(`in a poor realm with nothing but ${global} a line in msgpack carries bytes, many packets a message, and goes on after a cut`, async () => {
    const { served, world, wx, gateway, context } = realm(global, fake());
    const seen: unknown[] = [];
    Object.assign(context, { note: (what: unknown) => seen.push(JSON.parse(JSON.stringify(what))) });
    runInContext(readFileSync(resolve(DIST, 'tautline.msgpack.global.js'), 'utf8'), context);
    runInContext(
      `var line = new Tautline({ url: 'wss://a.example/connect', format: tautline.msgpack.msgpack });
       function bytes(it) { return [it instanceof ArrayBuffer].concat(Array.prototype.slice.call(new Uint8Array(it))); }
       line.subscribe('room:7', { onPublication: function (it) { note(it.data.photo ? bytes(it.data.photo) : it.data); } });
       line.call('echo', { photo: new Uint8Array([1, 2, 255]), text: '世界 😀' }).then(function (it) { note([bytes(it.photo), it.text]); });
       line.publish('room:7', { photo: new Uint8Array([0, 128]).buffer });`,
      context,
    );
    await world.advance(300);
    for (const number of [1, -1000, 0.5, 1e15]) gateway.publish('room:7', number, world.now());
    await world.advance(100);
    for (const task of served.held) served.cut(task);
    gateway.publish('room:7', { photo: { $bin: 'AP8=' } }, world.now());
    await world.advance(120_000);
    // Promises come a moment later in there.
    assert.deepEqual(seen, [
      [true, 0, 128],
      [[true, 1, 2, 255], '世界 😀'],
      1,
      -1000,
      0.5,
      1e15,
      [true, 0, 255],
    ]);
    assert.deepEqual(gateway.executed, [{ photo: { $bin: 'AQL/' }, text: '世界 😀' }]);
    assert.ok(
      wx.tasks.every(({ sent }) => sent.every((data) => global === 'my' || typeof data !== 'string')),
    );
  });
}

test('what is no msgpack ends the connection, and the line comes back', async () => {
  const { world, wx, context } = realm();
  const seen: unknown[] = [];
  Object.assign(context, { note: (what: unknown) => seen.push(what) });
  runInContext(readFileSync(resolve(DIST, 'tautline.msgpack.global.js'), 'utf8'), context);
  runInContext(
    `var line = new Tautline({ url: 'wss://a.example/connect', format: tautline.msgpack.msgpack });
     line.on('drop', function (drop) { note(drop.cause); });
     line.connect();`,
    context,
  );
  await world.advance(200);
  wx.tasks[0]!.receivesBytes(new Uint8Array([0xc1]).buffer);
  await world.advance(5_000);
  assert.deepEqual(seen, ['protocol_error']);
  assert.equal((context as unknown as { line: Tautline }).line.state, 'online');
});

test('every form of the main entry exports the same names, and the words come apart', async () => {
  const cjs = Object.keys((await import(resolve(DIST, 'tautline.cjs.js'))) as object);
  const hosts = [
    'alipayHost',
    'baiduHost',
    'browserHost',
    'douyinHost',
    'frameworkHost',
    'jdHost',
    'kuaishouHost',
    'nodeHost',
    'qqHost',
    'wechatHost',
  ];
  const names = ['Tautline', 'TautlineError', ...hosts];
  assert.deepEqual(
    names.filter((name) => !cjs.includes(name)),
    [],
  );
  const { context } = realm();
  runInContext(readFileSync(resolve(DIST, 'tautline.words.global.js'), 'utf8'), context);
  assert.deepEqual(
    Object.keys((context as { tautline: object }).tautline).sort(),
    [...names, 'words'].sort(),
  );
  const esm = readFileSync(resolve(DIST, 'esm/index.js'), 'utf8');
  for (const name of names) assert.match(esm, new RegExp(`export\\{.*\\b${name}\\b`));
});

test('every entry can be loaded there, and none does anything before it is used', () => {
  const files = readdirSync(DIST).filter(
    (file) => file.endsWith('.global.js') && file !== 'tautline.global.js',
  );
  assert.ok(files.length >= 12);
  for (const file of files) {
    const { context, wx, world } = realm();
    runInContext(readFileSync(resolve(DIST, file), 'utf8'), context);
    assert.equal(
      wx.tasks.length + wx.listening('SocketClose') + wx.listening('AppShow') + world.pendingTimers,
      0,
      file,
    );
  }
});

test('the heartbeat runs there too: an open before the hooks are set, which takes a timer, is not lost', async () => {
  const { world, wx, context } = realm();
  const seen: string[] = [];
  Object.assign(context, { note: (what: string) => seen.push(what) });
  runInContext(readFileSync(resolve(DIST, 'tautline.heartbeat.global.js'), 'utf8'), context);
  runInContext(
    `tautline.heartbeat.WebsocketHeartbeat({ connectSocketParams: { url: 'wss://a.example' } }).then(function (task) {
       task.onOpen = function () { note('open'); };
       task.onClose = function () { note('close'); };
       task.onReconnect = function () { note('reconnect'); };
     });`,
    context,
  );
  wx.task.opens();
  await world.advance(1_000);
  wx.task.closesWith(1006, '');
  await world.advance(2_100);
  assert.deepEqual(seen, ['open', 'close', 'reconnect', 'open']);
});

test("one host's own entry has its line, and no other host", () => {
  const { context } = realm();
  runInContext(readFileSync(resolve(DIST, 'tautline.wechat.global.js'), 'utf8'), context);
  assert.deepEqual(Object.keys((context as { tautline: object }).tautline).sort(), [
    'Tautline',
    'TautlineError',
    'wechatHost',
  ]);
});
